/*
 * A configuration as it was written, before its keys have types. Maps are Map objects: a key named `__proto__` is
 * a key like any other there. `null` never occurs: it is the same as an absent key.
 */

/**
 * An unquoted number or boolean. Go reads one into a text key as its literal text (a generated password may be
 * `0123` or `1e5`), so the text is kept beside the value.
 */
export class Literal {
  constructor(
    readonly value: number | bigint | boolean,
    readonly text: string,
  ) {}
}

export type RawScalar = string | Literal;
export type RawMap = ReadonlyMap<string, RawNode>;
export type RawNode = RawScalar | RawMap | readonly RawNode[];

export function isRawMap(node: RawNode): node is RawMap {
  return node instanceof Map;
}

export function isRawScalar(node: RawNode): node is RawScalar {
  return typeof node === 'string' || node instanceof Literal;
}

/** Nothing in it could have an effect: "", false, [], {} and whatever is made of these. */
export function isEmpty(node: RawNode): boolean {
  if (isRawMap(node)) return [...node.values()].every(isEmpty);
  if (node instanceof Literal) return node.value === false;
  return typeof node === 'string' ? node === '' : node.every(isEmpty);
}

const maxShown = 60;

/** The value for a message: quoted if it is text, shortened if long, not shown if it may be a URL with a password. */
export function describeRaw(node: RawNode): string {
  if (isRawMap(node)) return 'a map';
  if (!isRawScalar(node)) return 'a list';
  const text = typeof node === 'string' ? node : node.text;
  if (text.includes('@')) return 'a text that is not shown, as it may hold a password';
  const short = text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
  return typeof node === 'string' ? JSON.stringify(short) : short;
}

/** A key for a message; foreign characters are escaped so that it cannot forge another line. */
export function describeKey(key: string): string {
  const short = key.length > maxShown ? `${key.slice(0, maxShown)}…` : key;
  return /^[\w-]+$/.test(short) ? short : JSON.stringify(short);
}

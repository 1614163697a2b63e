import { isScalar, LineCounter, parseDocument, visit, type Document, type YAMLMap } from 'yaml';
import { Literal, type RawMap } from './raw.js';

/** Characters of a configuration text. A real one has a few thousand; a hostile one of this size costs a second or two. */
export const maxConfigLength = 256 * 1024;

/** What is wrong with the text as YAML; never quotes the text, which holds passwords. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

const maxErrors = 10;

/**
 * Reads a YAML (or JSON, which is YAML) text that must hold a map. Merge keys work as in Go; duplicate keys, several
 * documents, unresolved or excessive aliases and absurd nesting are errors.
 * @throws YamlError
 */
export function parseYamlMap(text: string): RawMap {
  if (text.length > maxConfigLength) {
    throw new YamlError(`it is longer than the ${maxConfigLength} characters that are allowed`);
  }
  // What decoding puts in the place of bytes that are no UTF-8: a password would be silently wrong.
  if (text.includes('\uFFFD')) throw new YamlError('it is not UTF-8 text');
  const root = guarded(() => withoutNulls(parse(text)));
  if (root === null) return new Map();
  if (!(root instanceof Map)) {
    throw new YamlError(
      `it holds ${Array.isArray(root) ? 'a list' : 'a single value'}, allowed is a map of keys`,
    );
  }
  return root as RawMap;
}

function parse(text: string): unknown {
  const lines = new LineCounter();
  // Key uniqueness is checked below: the parser's own check takes quadratic time.
  const document = parseDocument(text, {
    intAsBigInt: true,
    lineCounter: lines,
    logLevel: 'error',
    merge: true,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
  });
  const syntaxErrors = document.errors.map(
    (error) => `${place(lines, error.pos[0])}: ${inWords(error.code)}`,
  );
  const errors = [...syntaxErrors, ...keepLiterals(document, lines)];
  if (errors.length > 0) throw new YamlError(summary([...new Set(errors)]));
  return document.toJS({ mapAsMap: true }) as unknown;
}

/** Replaces numbers and booleans by `Literal`s. Returns what is wrong: tags of other values, and keys that occur twice. */
function keepLiterals(document: Document.Parsed, lines: LineCounter): string[] {
  const errors: string[] = [];
  visit(document, {
    Map: (_key, map) => void reportDuplicateKeys(map, lines, errors),
    Scalar: (key, scalar) => {
      const { value } = scalar;
      if (key === 'key') return;
      if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
        scalar.value = new Literal(value, scalar.source ?? String(value));
      } else if (value !== null && typeof value !== 'string') {
        errors.push(`${place(lines, scalar.range?.[0] ?? 0)}: unsupported tag`); // !!binary, !!timestamp
      }
    },
  });
  return errors;
}

function reportDuplicateKeys(map: YAMLMap, lines: LineCounter, errors: string[]): void {
  const seen = new Set<unknown>();
  for (const { key } of map.items) {
    if (!isScalar(key)) continue;
    if (seen.has(key.value)) errors.push(`${place(lines, key.range?.[0] ?? 0)}: duplicate key`);
    seen.add(key.value);
  }
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof YamlError) throw error;
    if (error instanceof RangeError) throw new YamlError('it is nested too deeply');
    if (error instanceof ReferenceError) throw new YamlError('an alias is unresolved, or there are too many');
    throw error;
  }
}

/**
 * A key with the value null is an absent key, and an absent list item means nothing. What several aliases share stays
 * shared; what holds itself is rejected, because a walk through it would never end.
 */
function withoutNulls(root: unknown): unknown {
  const done = new Map<object, unknown>();
  const open = new Set<object>();
  const copy = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || value instanceof Literal) return value;
    if (done.has(value)) return done.get(value);
    if (open.has(value)) throw new YamlError('an alias stands for what it is part of');
    open.add(value);
    const result = Array.isArray(value)
      ? value.filter((item) => item !== null).map(copy)
      : new Map(
          [...(value as Map<string, unknown>)]
            .filter(([, item]) => item !== null)
            .map(([key, item]) => [key, copy(item)]),
        );
    open.delete(value);
    done.set(value, result);
    return result;
  };
  return copy(root);
}

function place(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `line ${line}, column ${col}`;
}

/** The parser's own messages quote the text. */
function inWords(code: string): string {
  return code.toLowerCase().replaceAll('_', ' ');
}

function summary(errors: readonly string[]): string {
  const more = errors.length - maxErrors;
  return errors.slice(0, maxErrors).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

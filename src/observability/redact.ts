import { types } from 'node:util';
import { redactText, truncate } from './redact-text.js';

/*
 * Turns any value into plain JSON data without secrets, bounded in depth and size. Never throws, whatever getters,
 * proxies or cycles there are: a log call must not stop the process.
 */

const redacted = '[redacted]';

/** Bounds of one log line's data. The rest is replaced by a remark. */
const maxDepth = 8;
const maxEntries = 50;
const maxValues = 500;
const maxKeyLength = 100;
const maxCauses = 8;

/** Names, in lower case and without separators, whose values are secrets. */
const secretName =
  /passw(?:or)?d|passphrase|secret|authorization|cookie|credential|privatekey|apikey|accesskey|clientkey|assertion|forwardedclientcert|bearer|jwt|(?:^|access|refresh|id|auth|uaa|session|oauth)tokens?$|^(?:pwd|pass|auth)$/;

/** The value as plain data without secrets. */
export function redact(value: unknown): unknown {
  return copy(value, { depth: 0, ancestors: new Set(), budget: { values: maxValues } });
}

/** Message, code and causes of an error in one line, without secrets. */
export function describeError(error: unknown): string {
  try {
    return redactText(errorText(error, new Set()));
  } catch {
    return '[unreadable error]';
  }
}

interface Position {
  readonly depth: number;
  readonly ancestors: ReadonlySet<object>;
  readonly budget: { values: number };
}

function copy(value: unknown, at: Position): unknown {
  if (at.budget.values-- <= 0) return '[left out]';
  switch (typeof value) {
    case 'string':
      return redactText(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'bigint':
      return String(value);
    case 'boolean':
    case 'undefined':
      return value;
    case 'function':
      return '[function]';
    case 'symbol':
      return '[symbol]';
    case 'object':
      break;
  }
  if (value === null) return null;
  if (at.ancestors.has(value)) return '[circular]';
  if (at.depth >= maxDepth) return '[too deep]';
  try {
    return copyObject(value, { ...at, depth: at.depth + 1, ancestors: new Set(at.ancestors).add(value) });
  } catch {
    return '[unreadable]';
  }
}

function copyObject(value: object, at: Position): unknown {
  if (types.isNativeError(value) || value instanceof Error) return describeError(value);
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return `[${value.byteLength} bytes]`;
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL) return redactText(value.href);
  if (types.isMap(value)) return copyEntries([...value], at);
  if (types.isSet(value)) return copyList([...value], at);
  if (Array.isArray(value)) return copyList(value, at);
  if (isSerializedBuffer(value)) return `[${value.data.length} bytes]`;
  return copyEntries(
    Object.keys(value).map((key) => [key, readProperty(value, key)]),
    at,
  );
}

function copyList(list: readonly unknown[], at: Position): unknown[] {
  const items = list.slice(0, maxEntries).map((item) => copy(item, at));
  if (list.length > maxEntries) items.push(`[${list.length - maxEntries} more]`);
  return items;
}

function copyEntries(
  entries: readonly (readonly [unknown, unknown])[],
  at: Position,
): Record<string, unknown> {
  const copies = entries.slice(0, maxEntries).map(([key, value]): [string, unknown] => {
    const name = typeof key === 'string' ? key : describeKey(key);
    return [truncate(redactText(name), maxKeyLength), isSecret(name, value) ? redacted : copy(value, at)];
  });
  if (entries.length > maxEntries) copies.push(['[more]', entries.length - maxEntries]);
  return Object.fromEntries(copies); // defines own properties: a key named __proto__ stays a key
}

function describeKey(key: unknown): string {
  return typeof key === 'number' || typeof key === 'bigint' ? String(key) : `[${typeof key}]`;
}

/** That a secret is absent, or a flag, is no secret. */
function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === 'boolean') return false;
  return secretName.test(name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
}

function readProperty(owner: object, key: string): unknown {
  try {
    return (owner as Record<string, unknown>)[key];
  } catch {
    return '[unreadable]';
  }
}

/** The form of `JSON.parse(JSON.stringify(buffer))`, which may be a key. */
function isSerializedBuffer(value: object): value is { data: unknown[] } {
  return readProperty(value, 'type') === 'Buffer' && Array.isArray(readProperty(value, 'data'));
}

function errorText(error: unknown, seen: Set<unknown>): string {
  if (typeof error === 'string') return error;
  if (typeof error !== 'object' || error === null) return `${String(error)} was thrown`;
  if (seen.has(error) || seen.size >= maxCauses) return '';
  seen.add(error);

  const message = readProperty(error, 'message');
  const code = readProperty(error, 'code');
  const text = typeof message === 'string' && message !== '' ? message : nameOf(error);
  const withCode = typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text;

  const inner = [readProperty(error, 'cause'), ...listOf(readProperty(error, 'errors'))]
    .filter((cause) => cause !== undefined && cause !== null)
    .map((cause) => errorText(cause, seen))
    .filter((causeText) => causeText !== '' && !withCode.includes(causeText));
  return [withCode, ...inner].join(': ');
}

function nameOf(error: object): string {
  const name = readProperty(error, 'name');
  return typeof name === 'string' && name !== '' ? name : 'an object that is no error was thrown';
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, maxCauses) : [];
}

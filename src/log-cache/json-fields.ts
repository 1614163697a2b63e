import { LogCacheError } from './log-cache.js';

/*
 * log-cache's JSON is read tolerantly where proto JSON leaves room (absent or null fields, numbers as strings), and
 * rejected where a guess could become a false value.
 */

export type Json = Readonly<Record<string, unknown>>;

/** Written so by Prometheus, and unknown to `Number`. */
const namedNumbers = new Map([
  ['Inf', Infinity],
  ['+Inf', Infinity],
  ['-Inf', -Infinity],
]);

export function number(value: unknown, what: string): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') {
    const parsed = namedNumbers.get(value) ?? Number(value.trim() === '' ? 'none' : value);
    if (!Number.isNaN(parsed) || value === 'NaN') return parsed;
  }
  throw invalidResponse(`value of ${what} is ${describeValue(value)}, not a number`);
}

export function text(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw invalidResponse(`${what} is ${describeValue(value)}, not a string`);
  return value;
}

export function field(json: Json, name: string): unknown {
  if (!(name in json)) throw invalidResponse(`"${name}" is missing`);
  return json[name];
}

export function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidResponse(`${what} is ${describeValue(value)}, not an object`);
  }
  return value as Json;
}

export function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidResponse(`${what} is ${describeValue(value)}, not a list`);
  return value;
}

export function parseObject(body: string): Json {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw invalidResponse(`the body is no JSON: ${describeValue(body)}`, cause);
  }
  return object(parsed, 'the body');
}

/** Short, and without a look into lists and objects: they may be nested deeper than the stack reaches. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'absent';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'string' && value.length > 80) return `${JSON.stringify(value.slice(0, 80))}…`;
  return JSON.stringify(value);
}

export function invalidResponse(message: string, cause?: unknown): LogCacheError {
  return new LogCacheError('bad-answer', `log-cache's answer cannot be read: ${message}`, { cause });
}

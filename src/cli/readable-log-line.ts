import { printable } from './table.js';

/** One line of the eventgenerator's log. */
export interface LogLine {
  /** Wall-clock ms. */
  readonly atMs: number;
  readonly level: string;
  /** Without the leading "eventgenerator.". */
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Undefined: it is no line of the structured log. */
export function parseLogLine(text: string): LogLine | undefined {
  const line = parseObject(text);
  const { timestamp, level, message, data } = line ?? {};
  if (typeof timestamp !== 'string' || typeof level !== 'string' || typeof message !== 'string')
    return undefined;
  const atMs = Date.parse(timestamp);
  if (Number.isNaN(atMs)) return undefined;
  return {
    atMs,
    level,
    event: message.replace(/^eventgenerator\./, ''),
    data: isObject(data) ? data : {},
  };
}

const maxReadableLength = 400;

/** A line of the log for human eyes; what is no JSON stays as it is. */
export function readableLogLine(text: string): string {
  const line = parseLogLine(text);
  if (!line) return shorten(text);
  const { error } = line.data;
  const facts = Object.entries(line.data).filter(([name]) => name !== 'error' && name !== 'trace');
  const parts = [
    new Date(line.atMs).toISOString().slice(11, 19),
    line.level.padEnd(5),
    line.event,
    ...(error === undefined ? [] : [`- ${typeof error === 'string' ? error : JSON.stringify(error)}`]),
    ...facts.map(([name, value]) => `${name}=${JSON.stringify(value)}`),
  ];
  return shorten(printable(parts.join(' ')));
}

function shorten(text: string): string {
  return text.length > maxReadableLength ? `${text.slice(0, maxReadableLength)}…` : text;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

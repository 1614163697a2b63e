import { PromqlParseError } from './expression.js';

/** Seconds of the one-letter units that log-cache's lexer knows. */
export const unitSecs: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};
const severalUnits = /^\d+[a-z]\d/;

/** A duration of one unit in seconds; undefined where it is none. */
export function durationSecs(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d+)([a-z])$/.exec(text) ?? [];
  const secs = Number(count) * (unitSecs[unit] ?? NaN);
  return Number.isNaN(secs) ? undefined : secs;
}

export function hasSeveralUnits(text: string): boolean {
  return severalUnits.test(text);
}

/** The lexer's error for a duration that is none; it stops at a second number. `what` it expected. */
export function badDuration(what: string, text: string, position: number): PromqlParseError {
  const read = severalUnits.exec(text)?.[0] ?? text;
  return new PromqlParseError(position, `bad ${what} syntax: "${read}"`);
}

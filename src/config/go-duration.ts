import { maxInt64 } from '../util/int64.js';

/*
 * Durations as Go's time.ParseDuration reads them, because the configuration is shared with Go programs:
 * a sign, then one or more decimal numbers with a unit each ("40s", "1m30s", "1.5h", "-2ms"), or "0".
 */

const nanosecondsPer: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n, // U+00B5, the micro sign
  μs: 1_000n, // U+03BC, the Greek letter
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** No duration needs more; converting a million digits to a bigint would take minutes. */
const maxLength = 100;

const term = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;

/** Nanoseconds, or undefined if the text is no duration or does not fit 64 bits. Fractions of a nanosecond are dropped. */
export function parseGoDuration(text: string): bigint | undefined {
  if (text.length > maxLength) return undefined;
  const negative = text.startsWith('-');
  const unsigned = negative || text.startsWith('+') ? text.slice(1) : text;
  if (unsigned === '0') return 0n;
  if (unsigned === '') return undefined;
  let total = 0n;
  for (let position = 0; position < unsigned.length; position = term.lastIndex) {
    term.lastIndex = position;
    const match = term.exec(unsigned);
    if (!match) return undefined;
    const [, whole = '', fraction = '', unit = ''] = match;
    const scale = nanosecondsPer[unit];
    if (scale === undefined || (whole === '' && fraction === '')) return undefined;
    total += BigInt(whole || '0') * scale;
    total += (BigInt(fraction || '0') * scale) / 10n ** BigInt(fraction.length);
  }
  if (total > maxInt64 + (negative ? 1n : 0n)) return undefined;
  return negative ? -total : total;
}

/** Milliseconds, with a fraction where the duration has one; the text must be a duration. */
export function goDurationMs(text: string): number {
  const nanoseconds = parseGoDuration(text);
  if (nanoseconds === undefined) throw new TypeError(`not a duration: ${JSON.stringify(text.slice(0, 40))}`);
  return Number(nanoseconds) / 1e6;
}

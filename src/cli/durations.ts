import { parseGoDuration } from '../config/go-duration.js';
import { UsageError } from './usage-error.js';

const dayMs = 86_400_000;
const maxSinceMs = 30 * dayMs;

/** Reads the duration of an option, in Go's form or in whole days, as `7d`. Throws a UsageError. */
export function durationMs(option: string, text: string): number {
  const [, days] = /^(\d{1,4})d$/.exec(text) ?? [];
  const ms = days === undefined ? Number(parseGoDuration(text) ?? 0n) / 1e6 : Number(days) * dayMs;
  if (ms < 1) throw new UsageError(`--${option} '${text}' is no duration, as 90m, 24h or 7d`);
  return ms;
}

/** How far back to look, by default a day. Throws a UsageError. */
export function sinceMs(text: string | undefined): number {
  if (text === undefined) return dayMs;
  const ms = durationMs('since', text);
  if (ms > maxSinceMs) throw new UsageError(`--since '${text}' is more than 30d`);
  return ms;
}

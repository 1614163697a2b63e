import { PromqlEngineError } from './series.js';

/** The `time` parameter in ms since the epoch: Unix seconds or RFC 3339; absent or empty is the current whole second. */
export function queryTimeMs(text: string | null, nowMs: number): number {
  if (!text) return Math.floor(nowMs / 1000) * 1000;
  const secs = /^[-+]?\d+(\.\d*)?(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
  if (Number.isFinite(secs)) return Math.round(secs * 1000);
  const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : NaN;
  if (Number.isFinite(date)) return date;
  throw new PromqlEngineError(`cannot parse ${JSON.stringify(text)} to a valid Unix or RFC3339 timestamp`);
}

import { unitSecs } from './duration.js';
import { PromqlEngineError } from './series.js';

/** When a query is evaluated: at the start and every step after it, up to the end. Whole ms since the epoch. */
export interface EvaluationTimes {
  readonly startMs: number;
  readonly endMs: number;
  /** Infinity: at the start alone. */
  readonly stepMs: number;
}

/** The texts of a range query's parameters; empty where there is none. */
export interface RangeTexts {
  readonly start: string;
  readonly end: string;
  readonly step: string;
}

/** log-cache itself has no such bound; it fails at the size of its response. */
const maxSteps = 50_000;
const maxInt64 = 2 ** 63;
/** Of a step, with their milliseconds, the largest first. */
const stepUnits = [
  ...Object.entries(unitSecs).map(([unit, secs]) => [unit, secs * 1000] as const),
  ['ms', 1] as const,
].sort(([, a], [, b]) => b - a);

/** Absent or empty is the current whole second. */
export function instantTimes(text: string | null, nowMs: number): EvaluationTimes {
  const timeMs = text ? parseTimeMs(text) : Math.floor(nowMs / 1000) * 1000;
  return { startMs: timeMs, endMs: timeMs, stepMs: Infinity };
}

/** Throws PromqlEngineError. */
export function rangeTimes({ start, end, step }: RangeTexts): EvaluationTimes {
  const stepMs = named('step', () => parseStepMs(step));
  const startMs = named('start', () => parseTimeMs(start));
  const endMs = named('end', () => parseTimeMs(end));
  return { startMs, endMs, stepMs };
}

/**
 * The times themselves, in order. Where time does not advance, throws a PromqlEngineError in the words of Go's runtime.
 * Where the start is the end and the step 0, log-cache itself crashes.
 */
export function* stepsOf({ startMs, endMs, stepMs }: EvaluationTimes): Generator<number> {
  if (stepMs === 0) throw new PromqlEngineError('unexpected error: runtime error: integer divide by zero');
  const steps = Math.trunc((endMs - startMs) / stepMs) + 1;
  if (stepMs < 0 || steps < 0) {
    throw new PromqlEngineError('unexpected error: runtime error: makeslice: cap out of range');
  }
  if (steps > maxSteps) {
    throw new PromqlEngineError(
      'query processing would load too many samples into memory in query execution',
    );
  }
  for (let timeMs = startMs; timeMs <= endMs; timeMs += stepMs) yield timeMs;
}

/** Unix seconds or RFC 3339. */
function parseTimeMs(text: string): number {
  const secs = decimal(text);
  if (secs !== undefined) return wholeMs(secs);
  const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isFinite(date)) return date;
  throw new PromqlEngineError(`cannot parse ${JSON.stringify(text)} to a valid Unix or RFC3339 timestamp`);
}

/** Seconds, or a duration of one unit or several, the largest first. */
function parseStepMs(text: string): number {
  const cannot = `cannot parse ${JSON.stringify(text)} to a valid step`;
  const secs = decimal(text);
  if (secs !== undefined) {
    if (Math.abs(secs * 1e9) > maxInt64) throw new PromqlEngineError(`${cannot}. It overflows int64`);
    return wholeMs(secs);
  }
  const pattern = new RegExp(`^${stepUnits.map(([unit]) => `(?:(\\d+)${unit})?`).join('')}$`);
  const counts = text === '' ? null : pattern.exec(text);
  if (!counts) throw new PromqlEngineError(cannot);
  return stepUnits.reduce((sum, [, unitMs], i) => sum + Number(counts[i + 1] ?? 0) * unitMs, 0);
}

function decimal(text: string): number | undefined {
  const secs = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(secs) ? secs : undefined;
}

/** As log-cache does it: by way of whole nanoseconds, of which the rest is cut off. */
function wholeMs(secs: number): number {
  return Number(BigInt(Math.trunc(secs * 1e9)) / 1_000_000n);
}

function named(parameter: string, parse: () => number): number {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof PromqlEngineError)) throw error;
    throw new PromqlEngineError(`couldn't parse ${parameter}: ${error.message}`);
  }
}

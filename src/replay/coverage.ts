import type { Recording } from './recording.js';

/** A time, wall-clock ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RecordedMetric {
  readonly metricType: string;
  readonly points: number;
  readonly noData: number;
}

/** What was recorded in a time, and what was not. */
export interface Coverage {
  readonly cycles: number;
  /** The usual time between two cycles, ms; null below two cycles. */
  readonly medianDistanceMs: number | null;
  readonly gaps: readonly Span[];
  readonly metrics: readonly RecordedMetric[];
}

/** A longest time between two cycles, in collection intervals; cycles are not exactly as far apart. */
const longestDistance = 1.5;

export function coverageOf(
  recordings: readonly Recording[],
  span: Span,
  collectionIntervalMs: number,
): Coverage {
  const cycles = cycleTimes(recordings, span);
  const distances = cycles.slice(1).map((atMs, index) => atMs - (cycles[index] ?? atMs));
  return {
    cycles: cycles.length,
    medianDistanceMs: distances.sort()[Math.floor(distances.length / 2)] ?? null,
    gaps: gapsBetween(cycles, span, collectionIntervalMs),
    metrics: recordings.map((recording) => {
      const own = recording.numbers.subarray(
        recording.firstFrom(span.fromMs),
        recording.firstFrom(span.toMs + 1),
      );
      return {
        metricType: recording.metricType,
        points: own.length,
        noData: own.reduce((count, value) => count + (Number.isNaN(value) ? 1 : 0), 0),
      };
    }),
  };
}

/** Times in which none of these has a point. They are longer than one and a half intervals, so a cycle is missing. */
export function gapsOf(recordings: readonly Recording[], span: Span, collectionIntervalMs: number): Span[] {
  return gapsBetween(cycleTimes(recordings, span), span, collectionIntervalMs);
}

function gapsBetween(cycles: Float64Array, { fromMs, toMs }: Span, intervalMs: number): Span[] {
  const gaps: Span[] = [];
  let beforeMs = fromMs;
  for (let index = 0; index <= cycles.length; index++) {
    const atMs = cycles[index] ?? toMs;
    if (atMs - beforeMs > longestDistance * intervalMs) gaps.push({ fromMs: beforeMs, toMs: atMs });
    beforeMs = atMs;
  }
  return gaps;
}

/** Wall-clock ms of all cycles in a time, in their order. */
function cycleTimes(recordings: readonly Recording[], { fromMs, toMs }: Span): Float64Array {
  const within = recordings.map((recording) =>
    recording.ms.subarray(recording.firstFrom(fromMs), recording.firstFrom(toMs + 1)),
  );
  const [only] = within;
  if (only && within.length === 1) return only;
  const all = new Float64Array(within.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const times of within) {
    all.set(times, filled);
    filled += times.length;
  }
  all.sort();
  return all.filter((atMs, index) => atMs !== all[index - 1]);
}

import { nsToMs } from '../util/clock.js';
import { Tape, type Recording } from './tape.js';

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
  /** Times without a cycle, longer than one and a half collection intervals: one is missing at least. */
  readonly gaps: readonly Span[];
  readonly metrics: readonly RecordedMetric[];
}

/** A longest time between two cycles, in collection intervals; cycles are not exactly as far apart. */
const longestDistance = 1.5;

export function coverageOf(
  recordings: readonly Recording[],
  { fromMs, toMs }: Span,
  collectionIntervalMs: number,
): Coverage {
  const cycles = cycleTimes(recordings).filter((atMs) => atMs >= fromMs && atMs <= toMs);
  const edges = [fromMs, ...cycles, toMs];
  const gaps = edges.flatMap((atMs, index) => {
    const beforeMs = edges[index - 1] ?? atMs;
    const isGap = atMs - beforeMs > longestDistance * collectionIntervalMs;
    return isGap ? [{ fromMs: beforeMs, toMs: atMs }] : [];
  });
  const distances = cycles.slice(1).map((atMs, index) => atMs - (cycles[index] ?? atMs));
  return {
    cycles: cycles.length,
    medianDistanceMs: distances.sort((a, b) => a - b)[Math.floor(distances.length / 2)] ?? null,
    gaps,
    metrics: recordings.map(({ metricType, points }) => {
      const own = points.filter(({ timestampNs }) => {
        const atMs = nsToMs(timestampNs);
        return atMs >= fromMs && atMs <= toMs;
      });
      return {
        metricType,
        points: own.length,
        noData: own.filter(({ value }) => value === null).length,
      };
    }),
  };
}

function cycleTimes(recordings: readonly Recording[]): number[] {
  const tape = new Tape(recordings);
  const times: number[] = [];
  for (let atNs = tape.next(); atNs !== null; atNs = tape.next()) times.push(nsToMs(atNs));
  return times;
}

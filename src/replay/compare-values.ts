import type { Point } from '../explanation/point-series.js';
import { nsToMs } from '../util/clock.js';
import type { Span } from './coverage.js';
import type { Recording } from './tape.js';

/** Values of the acting fleet and of the observers about the same time; null is *no data*. */
export interface ValuePair {
  readonly atMs: number;
  readonly theirs: bigint | null;
  readonly ours: bigint | null;
}

export interface ValueComparison {
  readonly metricType: string;
  /** App metrics of each in the time. */
  readonly theirs: number;
  readonly ours: number;
  /** Relative, 0 to 1; null where no two values could be compared. */
  readonly median: number | null;
  readonly largest: number | null;
  /** Of the values that could be compared: 0 to 1. */
  readonly shareAboveTenth: number;
  /** The same without those that are one off, which rounding makes of every fraction. */
  readonly shareDiffering: number;
  /** Pairs in which only one is *no data*: of all pairs, 0 to 1. */
  readonly shareWithoutData: number;
  /** Of all pairs: those of them in which the other is 0. */
  readonly shareAgainstZero: number;
  /** Pairs in which theirs is one percent more. Of all pairs, 0 to 1. */
  readonly shareOneMore: number;
  /** The first pair that differs by more than a tenth, or of which only one has data; else the first that is one off. */
  readonly first: ValuePair | null;
}

/** Relative difference above which values differ. */
const tenth = 0.1;

/**
 * Compares two recordings of one metric type. The fleets do not collect at the same moments. So a value is compared with
 * those of the other fleet right before and after it: it differs by as much as it lies outside of what is between them.
 */
export function compareValues(
  theirs: Recording,
  ours: Recording,
  span: Span,
  longestDistanceMs: number,
): ValueComparison {
  const there = theirs.points;
  const here = ours.points.filter((point) => isWithin(point, span));
  const differences: number[] = [];
  let pairs = 0;
  let differing = 0;
  let withoutData = 0;
  let againstZero = 0;
  let oneMore = 0;
  let first: ValuePair | null = null;
  let firstOff: ValuePair | null = null;
  let next = 0;
  for (const point of here) {
    while ((there[next]?.timestampNs ?? point.timestampNs) < point.timestampNs) next++;
    const near = neighbours(there, next, point, longestDistanceMs);
    const [nearest] = near;
    if (!nearest) continue;
    pairs++;
    const pair = { atMs: nsToMs(point.timestampNs), theirs: nearest.value, ours: point.value };
    const values = near.flatMap(({ value }) => (value === null ? [] : [value]));
    if (point.value === null || values.length === 0) {
      // One of two neighbours without data is the edge of a time without data.
      if ((point.value === null) === (values.length === near.length)) {
        withoutData++;
        if ((pair.theirs ?? pair.ours) === 0n) againstZero++;
        first ??= pair;
      }
      continue;
    }
    const difference = distanceFrom(values, point.value);
    differences.push(difference);
    if (difference > tenth && !isOneOff(values, point.value)) {
      differing++;
      first ??= pair;
    }
    if (values.every((value) => value === (point.value ?? 0n) + 1n)) {
      oneMore++;
      firstOff ??= pair;
    }
  }
  const sorted = differences.sort((a, b) => a - b);
  const share = (count: number, of: number) => (of === 0 ? 0 : count / of);
  return {
    metricType: ours.metricType,
    theirs: there.filter((point) => isWithin(point, span)).length,
    ours: here.length,
    median: sorted[Math.floor(sorted.length / 2)] ?? null,
    largest: sorted.at(-1) ?? null,
    shareAboveTenth: share(sorted.filter((each) => each > tenth).length, sorted.length),
    shareDiffering: share(differing, sorted.length),
    shareWithoutData: share(withoutData, pairs),
    shareAgainstZero: share(againstZero, pairs),
    shareOneMore: share(oneMore, pairs),
    first: first ?? firstOff,
  };
}

function isWithin({ timestampNs }: Point, { fromMs, toMs }: Span): boolean {
  const atMs = nsToMs(timestampNs);
  return atMs >= fromMs && atMs <= toMs;
}

/** The points around this one, the nearest first, as far as they are near enough. `next` is the first that is not before. */
function neighbours(
  points: readonly Point[],
  next: number,
  { timestampNs }: Point,
  longestMs: number,
): Point[] {
  const distance = (point: Point) => Math.abs(nsToMs(point.timestampNs - timestampNs));
  return [points[next - 1], points[next]]
    .filter((point) => point !== undefined)
    .filter((point) => distance(point) <= longestMs)
    .sort((a, b) => distance(a) - distance(b));
}

/** How far a value lies outside of others, relative to the larger of both. */
function distanceFrom(others: readonly bigint[], value: bigint): number {
  const numbers = others.map(Number);
  const own = Number(value);
  const [min, max] = [Math.min(...numbers), Math.max(...numbers)];
  const edge = own < min ? min : own > max ? max : own;
  return edge === own ? 0 : Math.abs(edge - own) / Math.max(Math.abs(edge), Math.abs(own));
}

function isOneOff(others: readonly bigint[], value: bigint): boolean {
  return others.some((other) => other - value <= 1n && value - other <= 1n);
}

import type { RangeFunction } from './expression.js';
import type { Point } from './series.js';

/** [fromMs, toMs]: the window of a range selector, on points that are stamped with whole seconds. */
interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Beyond so many distances of points the end of a window is too far away to extend the increase to it. */
const nearDistances = 1.1;

/** What a function makes of the points of one series, oldest first; undefined: no sample. */
export function valueOf(name: RangeFunction, points: readonly Point[], window: Window): number | undefined {
  if (points.length === 0) return undefined;
  if (name === 'rate') return rate(points, window);
  const values = points.map(({ value }) => value);
  switch (name) {
    // Step by step, as Prometheus does it: a number after an infinite one makes it NaN.
    case 'avg_over_time':
      return values.reduce((mean, value, i) => mean + (value - mean) / (i + 1), 0);
    case 'count_over_time':
      return values.length;
    case 'max_over_time':
      return values.reduce(greater, NaN);
    case 'min_over_time':
      return values.reduce(lesser, NaN);
    case 'sum_over_time':
      return values.reduce((a, b) => a + b, 0);
  }
}

/** Prometheus' comparison: NaN gives way to every number. */
export function greater(a: number, b: number): number {
  return b > a || Number.isNaN(a) ? b : a;
}

export function lesser(a: number, b: number): number {
  return b < a || Number.isNaN(a) ? b : a;
}

/** A counter's increase per second. What the points show is extended to the ends of the window, if these are near. */
function rate(points: readonly Point[], { fromMs, toMs }: Window): number | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || points.length < 2) return undefined;
  const increase = last.value - first.value + lostAtResets(points);
  const coveredSecs = (last.timeUs - first.timeUs) / 1e6;
  const distanceSecs = coveredSecs / (points.length - 1);
  const extension = (secs: number) => (secs < distanceSecs * nearDistances ? secs : distanceSecs / 2);
  let beforeSecs = (first.timeUs / 1000 - fromMs) / 1000;
  if (increase > 0 && first.value >= 0) {
    // No counter was below zero: it began at most so long ago.
    beforeSecs = Math.min(beforeSecs, coveredSecs * (first.value / increase));
  }
  const afterSecs = (toMs - last.timeUs / 1000) / 1000;
  const extendedSecs = coveredSecs + extension(beforeSecs) + extension(afterSecs);
  return (increase * (extendedSecs / coveredSecs)) / ((toMs - fromMs) / 1000);
}

/** A counter that falls began anew at zero. */
function lostAtResets(points: readonly Point[]): number {
  let lost = 0;
  let before = 0;
  for (const { value } of points) {
    if (value < before) lost += before;
    before = value;
  }
  return lost;
}

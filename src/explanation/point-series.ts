import type { Series } from '../history/ring.js';

export interface Point {
  readonly timestampNs: bigint;
  /** null is *no data*. */
  readonly value: bigint | null;
}

/** Points of one app and metric type, as rules read them. `newestFirst` may have repeated timestamps: the first counts. */
export function pointSeries(newestFirst: readonly Point[], unit: string): Series {
  const points = newestFirst.filter(
    ({ timestampNs }, index) => timestampNs !== newestFirst[index - 1]?.timestampNs,
  );
  const at = (age: number): Point => {
    const point = points[age];
    if (point === undefined) throw new RangeError(`no point of age ${age} among ${points.length}`);
    return point;
  };
  return {
    size: points.length,
    unit,
    timestampAt: (age) => at(age).timestampNs,
    valueAt: (age) => at(age).value,
  };
}

/** The series as it was at a time: without newer points. */
export function seriesUntil(series: Series, atNs: bigint): Series {
  let newer = 0;
  while (newer < series.size && series.timestampAt(newer) > atNs) newer++;
  if (newer === 0) return series;
  return {
    size: series.size - newer,
    unit: series.unit,
    timestampAt: (age) => series.timestampAt(age + newer),
    valueAt: (age) => series.valueAt(age + newer),
  };
}

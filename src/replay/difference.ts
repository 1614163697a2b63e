import type { Scaling } from './replay.js';

/** Scalings that only one of two replays has. */
export interface Difference {
  readonly common: number;
  readonly onlyFirst: readonly Scaling[];
  readonly onlySecond: readonly Scaling[];
}

export function isOut({ from, to }: Pick<Scaling, 'from' | 'to'>): boolean {
  return to > from;
}

/** Two scalings are the same if they go in the same direction within `intervalMs`. Both lists are in order of time. */
export function differenceOf(
  first: readonly Scaling[],
  second: readonly Scaling[],
  intervalMs: number,
): Difference {
  const onlyFirst: Scaling[] = [];
  const onlySecond: Scaling[] = [];
  let place = 0;
  let common = 0;
  for (const scaling of first) {
    for (let other = second[place]; other && other.atMs < scaling.atMs - intervalMs; other = second[place]) {
      onlySecond.push(other);
      place++;
    }
    const other = second[place];
    if (other && other.atMs <= scaling.atMs + intervalMs && isOut(other) === isOut(scaling)) {
      common++;
      place++;
    } else {
      onlyFirst.push(scaling);
    }
  }
  return { common, onlyFirst, onlySecond: [...onlySecond, ...second.slice(place)] };
}

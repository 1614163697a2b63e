import type { Cause, Comparison } from '../replay/compare.js';

/** How many apps are alike, and how many differ, by cause. */
export interface Tally {
  readonly apps: number;
  readonly alike: number;
  /** Apps of which observers have stored something. */
  readonly observed: number;
  readonly causes: ReadonlyMap<Cause, number>;
  add(result: Comparison): void;
}

export function emptyTally(): Tally {
  const causes = new Map<Cause, number>();
  let apps = 0;
  let alike = 0;
  let observed = 0;
  return {
    get apps() {
      return apps;
    },
    get alike() {
      return alike;
    },
    get observed() {
      return observed;
    },
    causes,
    add({ cause, metrics }) {
      apps++;
      if (metrics.some(({ ours }) => ours > 0)) observed++;
      if (cause === null) alike++;
      else causes.set(cause, (causes.get(cause) ?? 0) + 1);
    },
  };
}

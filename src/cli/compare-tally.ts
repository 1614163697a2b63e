import type { Cause, Comparison } from '../replay/compare.js';

/** How many apps are alike, and how many differ, by cause. */
export class Tally {
  apps = 0;
  alike = 0;
  /** Apps of which observers have stored something. */
  observed = 0;
  readonly causes = new Map<Cause, number>();

  add({ cause, metrics }: Comparison): void {
    this.apps++;
    if (metrics.some(({ ours }) => ours > 0)) this.observed++;
    if (cause === null) this.alike++;
    else this.causes.set(cause, (this.causes.get(cause) ?? 0) + 1);
  }
}

import { nsToMs, secsToNs } from '../../util/clock.js';
import type { ReadJob } from '../pool/job.js';
import { isEvicting, type Probe } from './coverage-rules.js';
import { ForgettingMap } from './forgetting-map.js';

/** Container metrics come every 15 s: so much of a window has some of each instance. */
const shortestPartNs = secsToNs(20);
const forgottenAfterNs = secsToNs(600);

/**
 * Half of a stat window is enough for a mean of an app's gauges. If the app has more envelopes than log-cache keeps, half of
 * it is never held: then a part is enough. This knows which apps those are.
 */
export class GaugeCoverage {
  /** What the last cycle's probe found, of apps whose window was held by less than half. */
  readonly #probes = new ForgettingMap<Probe>();

  /**
   * To be called in each cycle in which less than half is held. `oldestNs`: the oldest envelope, ns since the epoch; null:
   * there is none.
   */
  isPartEnough({ appId, endNs }: Pick<ReadJob, 'appId' | 'endNs'>, oldestNs: bigint | null): boolean {
    this.#probes.sweep(nsToMs(endNs) / 1000, (probe) => endNs - probe.endNs >= forgottenAfterNs);
    const before = this.#probes.get(appId) ?? null;
    this.#probes.delete(appId);
    if (oldestNs === null) return false;
    const now = { oldestNs, endNs };
    this.#probes.set(appId, now);
    return isEvicting(before, now) && endNs - oldestNs >= shortestPartNs;
  }

  /** To be called after a cycle that failed or found enough. A later move of the oldest envelope may be a restart of log-cache. */
  forget(appId: string): void {
    this.#probes.delete(appId);
  }
}

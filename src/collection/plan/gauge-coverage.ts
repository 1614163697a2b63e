import { nsToMs, secsToNs } from '../../util/clock.js';
import type { ReadJob } from '../pool/job.js';
import { coversGauges, isEvicting, type Probe } from './coverage-rules.js';
import { ForgettingMap } from './forgetting-map.js';

/** Container metrics come every 15 s: so much of a window has some of each instance. */
const shortestPartNs = secsToNs(20);
const forgottenAfterNs = secsToNs(600);

/**
 * Knows of each app whether log-cache holds enough of its stat window for a mean of its gauges. Half of it is enough.
 * For an app with more envelopes than log-cache keeps, half of it never comes: then the part that is held is enough.
 */
export class GaugeCoverage {
  /** What the last cycle's probe found, of apps whose window was held by less than half. */
  readonly #probes = new ForgettingMap<Probe>();

  /** `oldestNs`: the oldest envelope that is held, ns since the epoch; null: none is. To be called in each cycle. */
  isEnough(
    { appId, startNs, endNs }: Pick<ReadJob, 'appId' | 'startNs' | 'endNs'>,
    oldestNs: bigint | null,
  ): boolean {
    this.#probes.sweep(nsToMs(endNs) / 1000, (probe) => endNs - probe.endNs >= forgottenAfterNs);
    const before = this.#probes.get(appId) ?? null;
    this.#probes.delete(appId);
    if (oldestNs === null) return false;
    if (coversGauges(oldestNs, { startNs, endNs })) return true;
    const now = { oldestNs, endNs };
    this.#probes.set(appId, now);
    return isEvicting(before, now) && endNs - oldestNs >= shortestPartNs;
  }

  /** The app's cycle failed: log-cache may have been restarted, which moves the oldest envelope, too. */
  failed(appId: string): void {
    this.#probes.delete(appId);
  }
}

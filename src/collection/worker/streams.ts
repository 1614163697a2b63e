import { secsToNs } from '../../util/clock.js';
import { fnv1a32, mix32 } from '../../util/hash.js';

/*
 * A stream is what one instance reports of one gauge. Its envelopes reach log-cache in the order of their timestamps, or
 * within `overlapNs`. Those of one cell or one metric may be tens of seconds later than all others of the app. So each
 * stream has its own time up to which it is settled, and the slowest stream decides for the window. Then a settled part
 * and a new read together equal a full read.
 */

/** Envelopes arrive within a second or so. The rest is for clocks that differ, and for the 15 s of container metrics. */
const overlapNs = secsToNs(20);

/** A stream that is silent for longer has ended, as its instance probably has, and is not waited for. */
const longestSilenceNs = secsToNs(120);

/** The streams that a read has found. */
export class Streams {
  /** By instance, then by gauge: the timestamp of the newest envelope. */
  readonly #newest = new Map<string, (string | undefined)[]>();
  #instance: string | null = null;
  #ofInstance: (string | undefined)[] = [];

  /** `gauge` is a small integer; `timestamp` decimal ns, not negative. */
  saw(instance: string, gauge: number, timestamp: string): void {
    // Consecutive envelopes are mostly of one instance.
    if (instance !== this.#instance) {
      this.#instance = instance;
      this.#ofInstance = this.#newest.get(instance) ?? [];
      if (this.#ofInstance.length === 0) this.#newest.set(instance, this.#ofInstance);
    }
    const newest = this.#ofInstance[gauge];
    if (newest === undefined || isLater(timestamp, newest)) this.#ofInstance[gauge] = timestamp;
  }

  /** The time up to which all are settled in a window read from `fromNs` to `endNs`; not before `fromNs`. */
  settledUntil(fromNs: bigint, endNs: bigint): bigint {
    const ended = String(endNs - longestSilenceNs);
    let slowest: string | null = null;
    for (const ofInstance of this.#newest.values()) {
      for (const newest of ofInstance) {
        if (newest === undefined || isLater(ended, newest)) continue;
        if (slowest === null || isLater(slowest, newest)) slowest = newest;
      }
    }
    if (slowest === null) return fromNs;
    const untilNs = settledUntil(endNs, BigInt(slowest));
    return untilNs > fromNs ? untilNs : fromNs;
  }

  /**
   * Fingerprint of the streams with an envelope at or after this time. A read from there on finds all of them again. If
   * its fingerprint differs, it found an unknown stream, of which the settled part may lack envelopes.
   */
  fingerprint(sinceNs = 0n): number {
    const since = String(sinceNs);
    let sum = 0;
    for (const [instance, ofInstance] of this.#newest) {
      const hash = fnv1a32(instance);
      for (let gauge = 0; gauge < ofInstance.length; gauge++) {
        const newest = ofInstance[gauge];
        if (newest !== undefined && !isLater(since, newest)) sum += mix32(hash + gauge);
      }
    }
    return sum;
  }
}

/**
 * The time up to which a stream is settled, given its newest envelope. An old newest envelope may be late, or of a clock
 * behind ours: then the stream's own time counts.
 */
function settledUntil(endNs: bigint, newestNs: bigint): bigint {
  const lately = endNs - overlapNs;
  return newestNs >= lately ? lately : newestNs - overlapNs;
}

/** Of numbers without leading zeros. */
function isLater(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

import { secsToNs } from '../../util/clock.js';
import { fnv1a32, mix32 } from '../../util/hash.js';

/*
 * A stream is what one instance reports of one gauge. Its envelopes reach log-cache in the order of their timestamps or
 * within `overlapNs`, but those of one cell or of one metric may be tens of seconds later than all others of the app.
 * So each stream tells for itself up to where it is settled, and the slowest decides for the window: a window that is
 * put together from a settled part and a new one then equals a full read.
 */

/** Envelopes arrive within a second or so. The rest is for clocks that differ, and covers a tick of container metrics. */
const overlapNs = secsToNs(20);

/** A stream that is silent for so long has ended, like its instance, and is not waited for any more. */
const longestSilenceNs = secsToNs(120);

/** The streams that a read has found. */
export class Streams {
  /** By instance, then by gauge: the timestamp of the newest envelope. */
  readonly #newest = new Map<string, (string | undefined)[]>();
  #instance: string | null = null;
  #ofInstance: (string | undefined)[] = [];

  /** `gauge` is a small integer; `timestamp` decimal ns, not negative. */
  saw(instance: string, gauge: number, timestamp: string): void {
    // Envelopes of one instance mostly follow each other.
    if (instance !== this.#instance) {
      this.#instance = instance;
      this.#ofInstance = this.#newest.get(instance) ?? [];
      if (this.#ofInstance.length === 0) this.#newest.set(instance, this.#ofInstance);
    }
    const newest = this.#ofInstance[gauge];
    if (newest === undefined || isLater(timestamp, newest)) this.#ofInstance[gauge] = timestamp;
  }

  /** Up to where all of them are settled in a window that was read from `fromNs` to `endNs`; not before `fromNs`. */
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
   * Fingerprint of those that were measured at or after this time, default: of all. A read from there on finds all of
   * them again; one that has another fingerprint found a stream that was not known, and may lack its older envelopes.
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
 * Up to where a stream is settled, given the time of its newest envelope. Where nothing was measured lately its clock
 * may be behind ours, or its way long: then it is its own time that counts.
 */
function settledUntil(endNs: bigint, newestNs: bigint): bigint {
  const lately = endNs - overlapNs;
  return newestNs >= lately ? lately : newestNs - overlapNs;
}

/** Of numbers without leading zeros. */
function isLater(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

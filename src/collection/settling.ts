import { secsToNs } from '../clock.js';

/*
 * Which part of a stat window is settled, so that the next round need not read it again. A window that is put together
 * from a settled part and a new one equals a full read as long as no envelope reaches log-cache later than `overlapNs`
 * after its timestamp. One that does is missed until the app's next full read, or until its time leaves the window.
 */

/** Envelopes arrive within a second or so. The rest is for clocks that differ, and covers a tick of container metrics. */
const overlapNs = secsToNs(20);

/**
 * Up to where a window that was read to `endNs` is settled, given the time of its newest envelope. Where nothing was
 * measured lately our clock may be ahead of those that measure: then it is their time that counts.
 */
export function settledUntil(endNs: bigint, newestNs: bigint): bigint {
  const lately = endNs - overlapNs;
  return newestNs >= lately ? lately : newestNs - overlapNs;
}

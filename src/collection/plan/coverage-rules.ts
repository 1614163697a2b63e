import type { Window } from '../../log-cache/log-cache.js';
import { promqlWindowSecs } from '../../log-cache/promql.js';

/** A smaller fall of the throughput is taken for a change of load. */
const fallThatCounts = 0.75;
/** Standard deviations of the number of requests that a fall must exceed. */
const deviations = 3;
/** The rate of a shorter part says too little about the window. */
const shortestPart = 0.25;
const shortestPartSecs = 5;
/** Less than what is held is asked for: its beginning moves while log-cache evicts. */
const partKept = 0.9;
const partMarginSecs = 1;
/** The mean of gauges says what a window was like if log-cache holds one half of it. */
const leastOfStatWindow = 2n;
/**
 * Requests of a window from which on log-cache may have evicted some of them: it keeps 100,000 envelopes of an app, and a
 * request makes three and the app's own log lines.
 */
const manyRequests = 10_000;

/** What a probe found. ns since the epoch. */
export interface Probe {
  readonly oldestNs: bigint;
  /** Of the window that it was sent for. */
  readonly endNs: bigint;
}

/** Whether the throughput fell by more than chance and rounding explain. */
export function fell(from: number, throughput: number, windowSecs: number): boolean {
  // Throughputs are rounded up: from 2 to 1 may be from 1.01 to 1.
  if (throughput >= fallThatCounts * from || from - throughput < 2) return false;
  return (from - throughput) * windowSecs > deviations * Math.sqrt(from * windowSecs);
}

/** Whether log-cache may have no room for all requests of a window. */
export function isBusy(throughput: number, windowSecs: number): boolean {
  return throughput * windowSecs >= manyRequests;
}

/** Whether envelopes are being evicted: that moves the oldest on and on, while a loss at one time leaves it where it is. */
export function isEvicting(before: Probe | null, now: Probe): boolean {
  if (!before || now.endNs < before.endNs) return false;
  return 2n * (now.oldestNs - before.oldestNs) > now.endNs - before.endNs;
}

/** How many seconds of the http window to ask for where log-cache holds only its last part; null: too little is held. */
export function partToAskFor(heldNs: bigint, windowSecs: number): number | null {
  const secs = Math.floor((Number(heldNs) / 1e9) * partKept - partMarginSecs);
  if (secs < Math.max(shortestPartSecs, windowSecs * shortestPart)) return null;
  return Math.min(promqlWindowSecs(secs * 1000), windowSecs);
}

/** Whether enough of a stat window is held for a mean of its gauges. `oldestNs` null: nothing is held. */
export function coversGauges(oldestNs: bigint | null, { startNs, endNs }: Window): boolean {
  return oldestNs !== null && oldestNs <= startNs + (endNs - startNs) / leastOfStatWindow;
}

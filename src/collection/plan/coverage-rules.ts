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

/** Whether the throughput fell by more than chance and rounding explain. */
export function fellSuddenly(usual: number, throughput: number, windowSecs: number): boolean {
  // Throughputs are rounded up: from 2 to 1 may be from 1.01 to 1.
  if (throughput >= fallThatCounts * usual || usual - throughput < 2) return false;
  return (usual - throughput) * windowSecs > deviations * Math.sqrt(usual * windowSecs);
}

/** How many seconds of the http window to ask for where log-cache holds only its last part; null: too little is held. */
export function partToAskFor(heldNs: bigint, windowSecs: number): number | null {
  const secs = Math.floor((Number(heldNs) / 1e9) * partKept - partMarginSecs);
  if (secs < Math.max(shortestPartSecs, windowSecs * shortestPart)) return null;
  return Math.min(promqlWindowSecs(secs * 1000), windowSecs);
}

/** Whether enough of a stat window is held for a mean of its gauges. `oldestNs` null: nothing is held. */
export function coversGauges(
  oldestNs: bigint | null,
  { startNs, endNs }: { readonly startNs: bigint; readonly endNs: bigint },
): boolean {
  return oldestNs !== null && oldestNs <= startNs + (endNs - startNs) / leastOfStatWindow;
}

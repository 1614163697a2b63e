import { nsToMs } from '../util/clock.js';
import type { LoadModel } from './replay.js';

/** The number of instances from a time on. */
export interface InstanceCount {
  /** Wall-clock ms. */
  readonly atMs: number;
  readonly instances: number;
}

/**
 * Metric types whose value is the load of the app divided by its instances. Memory and disk do not depend on the number of
 * instances. Nobody knows how a response time or a custom metric depends on it.
 */
export const sharedAmongInstances: ReadonlySet<string> = new Set(['cpu', 'cpuutil', 'throughput']);

/**
 * Closes the loop: the load of an app, which is its value times the instances that it really had, is shared among the
 * instances that it has in the replay. At once: the mean over a stat window follows more slowly.
 * `counts` are in order of time; the first one holds before its time too.
 */
export function sharedLoad(counts: readonly [InstanceCount, ...InstanceCount[]]): LoadModel {
  let place = 0;
  return (instances) => (value, metricType, atNs) => {
    if (!sharedAmongInstances.has(metricType)) return value;
    const atMs = nsToMs(atNs);
    while ((counts[place + 1]?.atMs ?? Infinity) <= atMs) place++;
    const real = counts[place]?.instances ?? counts[0].instances;
    const modelled = BigInt(instances());
    if (modelled === 0n) return null;
    // Rounded up, as app metrics are.
    return (value * BigInt(real) + modelled - 1n) / modelled;
  };
}

import { isMainThread } from 'node:worker_threads';
import type { AppMetric } from '../../src/history/app-metric.js';

/*
 * Loaded before the eventgenerator (node --import): every ring that its warm-up fills gets older points on top, up to
 * 100, as if the process had run for an hour. The rings, and what they cost, are the real ones. With `?recorded` the
 * points count as this process's own, so that the ring answers history queries.
 */

const points = 100;
const stepNs = 40_000_000_000n;
const recorded = new URL(import.meta.url).searchParams.has('recorded');

if (isMainThread) {
  const { History } = await import('../../src/history/history.js');
  // oxlint-disable-next-line typescript/unbound-method -- called with the History it belongs to
  const seed = History.prototype.seed;
  History.prototype.seed = function seedAndPrefill(appId, metricType, found, capacity) {
    const all = withOlder(found);
    const isFirst = this.series(appId, metricType) === undefined;
    if (recorded && isFirst) for (const point of all) this.record(point, capacity);
    else seed.call(this, appId, metricType, all, capacity);
  };
}

/** Oldest first, as they are read from the database. */
function withOlder(found: readonly AppMetric[]): readonly AppMetric[] {
  const [oldest] = found;
  if (!oldest) return found;
  const missing = Math.max(0, points - found.length);
  const older = Array.from({ length: missing }, (_, i) => ({
    ...oldest,
    timestampNs: oldest.timestampNs - BigInt(missing - i) * stepNs,
  }));
  return [...older, ...found];
}

import type { AppMetric } from '../../src/history/app-metric.js';
import { History } from '../../src/history/history.js';

/*
 * Loaded before the eventgenerator (node --import): every ring that its warm-up fills gets older points on top, up to
 * 100, as if the process had run for an hour. The rings, and what they cost, are the real ones.
 */

const points = 100;
const stepNs = 40_000_000_000n;

// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the History it belongs to
const seed = History.prototype.seed;

History.prototype.seed = function seedAndPrefill(appId, metricType, found, capacity) {
  seed.call(this, appId, metricType, withOlder(found), capacity);
};

function withOlder(found: readonly AppMetric[]): readonly AppMetric[] {
  const [oldest] = found;
  if (!oldest) return found;
  const missing = Math.max(0, points - found.length);
  const older = Array.from({ length: missing }, (_, i) => ({
    ...oldest,
    timestampNs: oldest.timestampNs - BigInt(i + 1) * stepNs,
  }));
  return [...older.reverse(), ...found];
}

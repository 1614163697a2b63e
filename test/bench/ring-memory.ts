import { History } from '../../src/history/history.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { appGuid } from './prepared/apps.js';
import { residentBytes } from './processes/usage.js';
import { metricTypes } from './scene/policies.js';

/*
 * Fills histories as the eventgenerator does, one point of every ring after the other, and prints what they hold.
 * Called by the benchmark `memory`, with the numbers of apps and of points.
 */

export interface RingMemory {
  readonly rings: number;
  /** Of JavaScript's heap and of buffers outside it, after a full garbage collection. */
  readonly heapBytes: number;
  /** As the operating system sees it: with what the allocator could not give back. */
  readonly residentBytes: number;
}

const [apps = 1_000, points = 300] = process.argv.slice(2).map(Number);

function used(): { heap: number; resident: number } {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed + external, resident: residentBytes(process.pid) };
}

const history = new History(createMetrics());
const startNs = BigInt(Date.now()) * 1_000_000n;

function fill(guids: readonly string[]): void {
  for (let point = 0; point < points; point++) {
    const timestampNs = startNs + BigInt(point) * 40_000_000_000n;
    for (const appId of guids) {
      for (const metricType of metricTypes) {
        history.record({ appId, metricType, value: BigInt(point), unit: '%', timestampNs }, points);
      }
    }
  }
}

// Policies hold these texts anyway; a history only points to them.
const guids = Array.from({ length: apps }, (_, i) => appGuid(i));
// What the process itself takes, compiled code and the young generation, has its full size before anything is measured.
const warmUpGuids = Array.from({ length: apps / 10 }, (_, i) => appGuid(apps + i));
fill(warmUpGuids);
const before = used();
fill(guids);
const after = used();
const rings = apps * metricTypes.length;
const filled = history.series(guids[0] ?? '', 'cpu')?.size;
if (filled !== points) throw new Error(`a ring holds ${filled} points instead of ${points}`);
const result: RingMemory = {
  rings,
  heapBytes: after.heap - before.heap,
  residentBytes: after.resident - before.resident,
};
process.stdout.write(JSON.stringify(result));

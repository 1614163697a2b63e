import { afterAll, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { nothingWrong, startPipeline, stopPipelines } from './harness.js';
import { policyOf, when, type RuleJson } from './policies.js';

/* What hangs behind the auth proxy, before each query and never before a read. */

const cpuRule = when('cpu > 1000', '+1');
const app = (guid: string, ...rules: RuleJson[]) => ({
  guid,
  tickSecs: 1,
  load: constantLoad({ cpuPercent: 50, requestsPerSecond: 10 }),
  policy: policyOf(...rules),
});
/** Places for collections. */
const metricPollerCount = 5;
const cpuOnly = Array.from({ length: 4 }, (_, i) => `cpu-${i}`);
/** More than there are places. */
const mixed = Array.from({ length: 8 }, (_, i) => `mixed-${i}`);
/** Of some twenty-five that an app has while the first queries are waited for: a slow machine may miss many. */
const fewRounds = 8;

afterAll(stopPipelines);

test('a hanging Cloud Controller costs http metrics only, is told apart from log-cache, and is no trouble afterwards', async () => {
  const pipeline = await startPipeline({
    // Threads wait 10 s for a query by their own clocks, and are given up after 90 s by the hurried one.
    speed: 5,
    configure: (config) => ({ ...config, aggregator: { ...config.aggregator, metricPollerCount } }),
    apps: [
      ...cpuOnly.map((guid) => app(guid, cpuRule)),
      ...mixed.map((guid) => app(guid, cpuRule, when('throughput > 1000', '+1'))),
    ],
  });
  const { faults } = pipeline.platform;
  for (const guid of [...cpuOnly, ...mixed]) await pipeline.evaluated(guid, 1);

  faults.set({ server: 'cloudController', fault: { kind: 'hang' } });
  const sinceNs = BigInt(pipeline.clock.now()) * 1_000_000n;
  const line = await pipeline.log.until('collection.queries-hang');
  expect(line.message).toContain('Cloud Controller');
  const untilNs = BigInt(pipeline.clock.now()) * 1_000_000n;
  for (const guid of [...cpuOnly, ...mixed]) {
    const rows = (await pipeline.rows(guid)).filter(
      ({ metricType, timestampNs }) =>
        metricType === 'cpu' && timestampNs > sinceNs && timestampNs <= untilNs,
    );
    expect({ guid, enough: rows.length >= fewRounds }).toEqual({ guid, enough: true });
  }
  const readiness = await pipeline.get('health', '/health/readiness');
  expect(JSON.parse(readiness.body)).toMatchObject({
    checks: expect.arrayContaining([
      { name: 'log_cache', type: 'log-cache', status: 'UP' },
      { name: 'log_cache_queries', type: 'log-cache', status: 'DOWN' },
    ]),
  });
  await pipeline.reaches('collections', 2 * mixed.length, { result: 'not-asked' });

  faults.clear();
  await pipeline.log.until('collection.queries-answered-again');
  await Promise.all(mixed.map((guid) => pipeline.freshRows(guid, 4)));
  expect(pipeline.platform.books.triggers.total).toBe(0);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

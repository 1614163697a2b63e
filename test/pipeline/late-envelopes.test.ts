import { afterEach, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { transports } from './config.js';
import { nothingWrong, startPipeline, stopPipelines } from './harness.js';
import { policyOf, when } from './policies.js';

afterEach(stopPipelines);

/** More than a window has, so that what is not settled well has left it. */
const cycles = 12;

test.each(transports)('what is late beside what is on time is in every value, over %s', async (transport) => {
  const pipeline = await startPipeline({
    transport,
    speed: 20,
    configure: (config) => ({
      ...config,
      defaultStatWindowSecs: 60,
      aggregator: { ...config.aggregator, collectionIntervalMs: 10_000 },
    }),
    platform: {
      lateMs: ({ name, instanceId }) => (name === 'jobs' ? 40_000 : instanceId === '1' ? 30_000 : 300),
    },
    apps: [
      {
        guid: 'shop',
        instances: 2,
        tickSecs: 5,
        noise: 0,
        // The same at all times: a value does not depend on which of its envelopes were there.
        load: constantLoad({ cpuPercent: 100 }),
        customMetrics: [{ name: 'jobs', unit: 'jobs', intervalSecs: 5, total: () => 14 }],
        policy: policyOf(when('cpu > 1000', '+1'), when('jobs > 1000', '+1')),
      },
    ],
  });
  await pipeline.evaluated('shop', cycles);
  const rows = await pipeline.rows('shop');
  expect(
    rows.filter(({ metricType, value }) => metricType === 'jobs' && value === '7').length,
  ).toBeGreaterThan(0);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

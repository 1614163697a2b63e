import { afterEach, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { transports } from './config.js';
import { nothingWrong, startPipeline, stopPipelines } from './harness.js';
import { policyOf, when } from './policies.js';

const intervalMs = 10_000;
const policy = policyOf(when('throughput > 1000', '+1'), when('responsetime > 5000', '+1'));
const tickSecs = 2;

afterEach(stopPipelines);

test.each(transports)(
  'an app of many instances whose query always takes too long has exact http metrics, over %s',
  async (transport) => {
    const pipeline = await startPipeline({
      transport,
      speed: 20,
      // A window of 10 s has 2,600 container metrics of forty instances, for which log-cache would take 6.5 s, and gives
      // up after five. Of one instance it has 65.
      platform: { queryUsPerEnvelope: 2_500 },
      apps: [
        { guid: 'large', instances: 40, tickSecs, load: constantLoad({ requestsPerSecond: 30 }), policy },
        { guid: 'small', instances: 1, tickSecs, load: constantLoad({ requestsPerSecond: 3 }), policy },
      ],
      configure: (config) => ({
        ...config,
        aggregator: { ...config.aggregator, collectionIntervalMs: intervalMs },
        evaluator: { ...config.evaluator, evaluationIntervalMs: intervalMs },
      }),
    });
    await pipeline.freshRows('large', 6);
    for (const guid of ['large', 'small']) await pipeline.evaluatedAgain(guid, 2);
    expect(await pipeline.audit()).toEqual(nothingWrong);
    const rows = await pipeline.rows('large');
    expect(await pipeline.value('timerReads', { result: 'read' })).toBeGreaterThanOrEqual(rows.length / 2);
    for (const metricType of ['throughput', 'responsetime']) {
      const values = rows.filter((row) => row.metricType === metricType && row.value !== '');
      expect(values.length).toBeGreaterThanOrEqual(3);
    }
    // Only the first cycle is lost.
    expect(await pipeline.value('collections', { result: 'gave-up' })).toBe(2);
  },
);

import { expect, test } from '@jest/globals';
import { keepGaugesFresh } from '../../src/observability/fresh-gauges.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';

test('gauges are brought up to date until that is ended', async () => {
  const clock = new ManualClock();
  const metrics = createMetrics();
  let refreshed = 0;
  const end = keepGaugesFresh({
    clock,
    metrics,
    parts: [{ refresh: () => void refreshed++ }],
    appsByReason: () => new Map([['at-max', 2]]),
    pool: { utilization: () => 0.5, queueSize: 3 },
  });
  await clock.advance(10_000);
  expect(refreshed).toBe(2);
  expect((await metrics.workerUtilization.get()).values[0]?.value).toBe(0.5);
  expect((await metrics.workerQueue.get()).values[0]?.value).toBe(3);
  expect((await metrics.apps.get()).values).toMatchObject([{ labels: { reason: 'at-max' }, value: 2 }]);
  end();
  await clock.advance(10_000);
  expect(refreshed).toBe(2);
  expect(clock.pendingTimers).toBe(0);
});

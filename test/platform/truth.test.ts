import { expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import type { AppOptions } from './app-model.js';
import { Apps } from './apps.js';
import { constantLoad } from './load-script.js';
import { LogCacheStore } from './log-cache-store.js';
import { Truth } from './truth.js';

const clock = new ManualClock(1_700_000_000_000);
const windowUs = [1_699_999_880e6, 1_700_000_000e6] as const;

function truthOf(options: Partial<AppOptions>) {
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 1, retentionUs: 3600e6 }, clock);
  const load = constantLoad({ requestsPerSecond: 100, cpuPercent: 130, memoryMiB: 64 });
  const app = apps.add({ guid: 'shop', load, instances: 4, noise: 0, ...options });
  const store = new LogCacheStore(apps, clock, { retentionMs: 3_600_000, ingestLagMs: 0 });
  return { app, store, truth: new Truth(apps, store) };
}

test.each([
  ['cpu', 33n, '%'], // 130 / 4 = 32.5
  ['cpuutil', 65n, '%'], // of 50
  ['memoryused', 112n, 'MB'], // 96 + 64 / 4
  ['memoryutil', 44n, '%'], // of 256
  ['jobs', 3n, 'things'], // 10 / 4 = 2.5
])('expects %s to be %s', (metricType, value, unit) => {
  const jobs = { name: 'jobs', unit: 'things', intervalSecs: 15, total: () => 10 };
  const { truth } = truthOf({ entitledCpuPercent: 50, memoryQuotaMiB: 256, customMetrics: [jobs] });
  expect(truth.expectedGaugeMetric('shop', metricType, ...windowUs)).toEqual({ value, unit });
});

test('expects throughput and response time from the requests, by instance', () => {
  const { truth } = truthOf({ serviceTimeMs: 20, capacityRps: 100 });
  expect(truth.expectedHttpMetric('shop', 'throughput', ...windowUs)).toEqual({ value: 25n, unit: 'rps' });
  expect(truth.expectedHttpMetric('shop', 'responsetime', ...windowUs)).toEqual({ value: 27n, unit: 'ms' });
});

test('counts injected samples, but not NaN and not those of tasks', () => {
  const { truth, store } = truthOf({ silent: true });
  const inject = (value: number, tags: Record<string, string>) =>
    store.inject({
      timestampUs: windowUs[0],
      sourceId: 'shop',
      instanceId: '0',
      tags,
      body: { type: 'GAUGE', metrics: { cpu: { unit: 'percentage', value } } },
    });
  inject(10, {});
  inject(21, { origin: 'rep', process_type: 'web' });
  inject(1000, { origin: 'rep' });
  inject(NaN, {});
  expect(truth.samples('shop', 'cpu', ...windowUs)).toHaveLength(3);
  expect(truth.expectedGaugeMetric('shop', 'cpu', ...windowUs)).toEqual({ value: 16n, unit: '%' });
});

test('expects no data where there is no sample or no request', () => {
  const { truth } = truthOf({ silent: true });
  expect(truth.expectedGaugeMetric('shop', 'cpu', ...windowUs)).toBeNull();
  expect(truth.expectedHttpMetric('shop', 'throughput', ...windowUs)).toBeNull();
  expect(truth.requests('nobody', ...windowUs)).toEqual([]);
});

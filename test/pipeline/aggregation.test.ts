import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { wave } from '../platform/load-script.js';
import { eventually } from '../support/eventually.js';
import { transports } from './config.js';
import type { Platform } from '../platform/platform.js';
import {
  nothingWrong,
  startPipeline,
  stopPipelines,
  type Pipeline,
  type PipelineOptions,
} from './harness.js';
import { policyOf, when } from './policies.js';

const cycles = 3;

const apps: PipelineOptions['apps'] = [
  {
    guid: 'crowd',
    instances: 120,
    maxInstances: 120,
    load: wave(
      { cpuPercent: 120 * 20, requestsPerSecond: 120 * 5, memoryMiB: 120 * 50 },
      { cpuPercent: 120 * 90, requestsPerSecond: 120 * 20, memoryMiB: 120 * 300 },
      60,
    ),
    policy: policyOf(
      when('cpu > 1000', '+1'),
      when('memoryutil > 100', '+1'),
      when('throughput > 100000', '+1'),
    ),
  },
  {
    guid: 'all-types',
    instances: 3,
    load: wave(
      { cpuPercent: 10, requestsPerSecond: 1, memoryMiB: 10 },
      { cpuPercent: 250, requestsPerSecond: 90, memoryMiB: 700 },
      45,
    ),
    customMetrics: [
      { name: 'jobs', unit: 'things', intervalSecs: 7, total: (secs) => 40 + (secs % 13) },
      { name: 'jobs_failed', unit: 'things', intervalSecs: 7, total: () => 1_000_000 },
    ],
    policy: policyOf(
      when('cpu > 100000', '+1'),
      when('cpuutil > 100000', '+1'),
      when('memoryused > 100000', '+1'),
      when('memoryutil > 100000', '+1'),
      when('disk > 100000', '+1'),
      when('diskutil > 100000', '+1'),
      when('throughput > 100000', '+1'),
      when('jobs > 100000', '+1'),
    ),
  },
  {
    guid: 'raw-gauges',
    instances: 2,
    load: wave({ memoryMiB: 250 }, { memoryMiB: 300 }, 60),
    customMetrics: [{ name: 'memory_quota', unit: 'seats', intervalSecs: 7, total: () => 80 }],
    policy: policyOf(when('memory >= 80', '+1'), when('memory_quota > 1000', '+1')),
  },
];

/** Of other process types, and a second instance with an index that is there already. */
function startOtherContainers(platform: Platform): void {
  const app = platform.apps.require('all-types');
  const nowUs = platform.logCache.visibleUntilUs;
  for (const processType of ['task', 'staging', 'worker'] as const) {
    app.startContainer({ processType, cpuPercent: 5_000 }, nowUs);
  }
  // A rolling deployment: a second web process, whose instance has an index that the first one has too.
  app.startContainer({ processType: 'web', index: 1 }, nowUs);
}

describe.each(transports)('over %s', (transport) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await startPipeline({
      transport,
      // The requests of 120 instances push the default bound's oldest envelopes out of the window.
      platform: { maxPerSource: 1_000_000 },
      configure: (config) => ({
        ...config,
        defaultStatWindowSecs: 120,
        aggregator: { ...config.aggregator, collectionIntervalMs: 10_000 },
      }),
      apps,
      prepare: ({ platform }) => startOtherContainers(platform),
    });
    await Promise.all(['crowd', 'all-types', 'raw-gauges'].map((guid) => pipeline.evaluated(guid, cycles)));
    // On a busy machine fetches may miss their deadlines, which hurry: others are in time.
    await eventually('three app metrics of every type', async () => {
      const isRecorded = async (guid: string, types: number) => {
        const rows = (await pipeline.rows(guid)).filter(({ value }) => value !== '');
        const counts = new Map<string, number>();
        for (const { metricType } of rows) counts.set(metricType, (counts.get(metricType) ?? 0) + 1);
        return counts.size === types && [...counts.values()].every((count) => count >= cycles);
      };
      return (await isRecorded('crowd', 3)) && (await isRecorded('all-types', 8));
    });
    expect(await pipeline.audit()).toEqual(nothingWrong);
  });
  afterAll(stopPipelines);

  /** Outcomes that are in no row. On a busy machine fetches miss their deadlines. */
  async function missing(): Promise<number> {
    const results = ['value', 'no_data', 'not_covered', 'no_http_timers'];
    const stored = await Promise.all(results.map((result) => pipeline.value('collections', { result })));
    return (await pipeline.value('collections')) - stored.reduce((sum, count) => sum + count, 0);
  }

  test('an app with 120 instances is aggregated over all envelopes of its window', async () => {
    const rows = await pipeline.rows('crowd');
    for (const metricType of ['cpu', 'memoryutil', 'throughput']) {
      const values = rows.filter((row) => row.metricType === metricType).map((row) => Number(row.value));
      // A fetch may fail on a busy machine; what the audit found true must be there all the same.
      expect(values.length).toBeGreaterThan(0);
      expect(Math.min(...values)).toBeGreaterThan(0);
    }
    // 120 instances report cpu, memory and its quota 8 times in 120 s: the first window alone has so many, on 3 pages.
    const pages = await pipeline.value('logCachePages');
    const envelopes = await pipeline.value('logCacheEnvelopes');
    expect(envelopes).toBeGreaterThanOrEqual(120 * 8 * 3);
    expect(pages).toBeGreaterThanOrEqual(3);
    const { envelopes: served } = pipeline.platform.books.of('read');
    // What comes after its deadline was served, but not counted here.
    expect(served).toBeGreaterThanOrEqual(envelopes);
    expect(served === envelopes || (await missing()) > 0).toBe(true);
  });

  test('every metric type counts web instances only, each once, and requests once', async () => {
    const rows = await pipeline.rows('all-types');
    const types = new Map(rows.map(({ metricType, unit }) => [metricType, unit]));
    expect(Object.fromEntries(types)).toEqual({
      cpu: '%',
      cpuutil: '%',
      memoryused: 'MB',
      memoryutil: '%',
      disk: 'MB',
      diskutil: '%',
      throughput: 'rps',
      jobs: 'things',
    });
    expect(rows.length).toBeGreaterThanOrEqual(cycles * types.size);
    // Had the task, the worker or the neighbouring custom metric been counted, these would be far larger.
    for (const row of rows) expect(Number(row.value)).toBeLessThan(1_000);
  });

  test('a rule on a raw gauge of containers has no data, a custom metric of such a name counts alone', async () => {
    const rows = await pipeline.rows('raw-gauges');
    const seen = new Set(rows.map(({ metricType, value, unit }) => `${metricType} ${value} ${unit}`));
    expect(seen).toEqual(new Set(['memory  ', 'memory_quota 40 seats']));
    expect(pipeline.platform.books.triggers.scaledOut).toBe(0);
    const lines = pipeline.log.lines.filter(({ event }) => event === 'policy.custom-metrics-only');
    expect(lines.map(({ data }) => data['appId'])).toEqual(['raw-gauges']);
  });

  test('all metrics of one cycle carry one timestamp', async () => {
    const perRound = new Map<bigint, number>();
    for (const { timestampNs } of await pipeline.rows('all-types')) {
      perRound.set(timestampNs, (perRound.get(timestampNs) ?? 0) + 1);
    }
    // Fewer only where a part failed.
    const sizes = [...perRound.values()];
    expect(sizes.filter((size) => size === 8).length).toBeGreaterThan(0);
    expect(Math.max(...sizes)).toBe(8);
    expect(sizes.every((size) => size === 8) || (await missing()) > 0).toBe(true);
  });
});

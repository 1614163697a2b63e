import type { Benchmark, BenchmarkContext, BenchmarkResult } from './benchmark.js';
import { pause, quantile } from './figures.js';
import { appGuid } from './prepared/apps.js';
import { createApiClient, sendAtRate, type ApiAnswer, type ApiClient } from './processes/api-client.js';
import { watchMemory } from './processes/usage.js';
import { insertBenchPolicies, insertHistory, insertLongHistory, metricTypes } from './scene/policies.js';
import { collectionIntervalMs, withScene, type Scene } from './scene/scene.js';

/** Apps whose history goes back for two days; the first ones. */
const oldApps = 200;
const twoDaysPoints = (2 * 86_400_000) / collectionIntervalMs;
/** Belongs to nobody's policy, so that only the database knows it. */
const largeMetric = 'large';
const prefill = new URL('./prefill-rings.js?recorded', import.meta.url);

/** History queries while the process does its ordinary work. */
export const api: Benchmark = {
  name: 'api',
  describe: 'history queries while 10,000 apps are collected, and one that returns 1,000,000 rows',
  run(context) {
    const apps = context.quick ? 500 : 10_000;
    const largeRows = context.quick ? 100_000 : 1_000_000;
    context.progress('api: setting up');
    return withScene(
      context,
      {
        delayMs: 100,
        imports: [prefill],
        prepare: async ({ pool }) => {
          await insertBenchPolicies(pool, apps);
          for (const type of metricTypes) await insertLongHistory(pool, oldApps, type, twoDaysPoints);
          await insertLongHistory(pool, 1, largeMetric, largeRows);
          await insertHistory(pool, 2, collectionIntervalMs / 1000);
          // As a table is that has grown for days. Left to autovacuum it would be done in the middle of the measurement.
          await pool.query('vacuum (analyze) app_metric');
        },
      },
      (scene) => measure(context, scene, apps, largeRows),
    );
  },
};

async function measure(
  context: BenchmarkContext,
  { eventgenerator, config }: Scene,
  apps: number,
  largeRows: number,
): Promise<BenchmarkResult> {
  await eventgenerator.line('eventgenerator.started', 60_000);
  await eventgenerator.line('eventgenerator.warm-up.done', 60_000);
  const client = await createApiClient(config);
  const secs = context.quick ? 4 : 15;
  try {
    context.progress('api: first cycle of every app');
    await pause(collectionIntervalMs);
    context.progress('api: queries within the ring');
    // Half of a ring's points.
    const startNs = BigInt(Date.now() - 50 * collectionIntervalMs) * 1_000_000n;
    const askRing = (i: number, dueMs: number) =>
      client.history(appGuid((i * 7) % apps), metricOf(i), `start=${startNs}&end=-1&order=DESC`, dueMs);
    // Connections are made once and kept, code is compiled once: what that takes is not a query's.
    await sendAtRate(500, 2, askRing);
    const recent = await sendAtRate(500, secs, askRing);
    context.progress('api: queries over two days');
    const askTwoDays = (i: number, dueMs: number) =>
      client.history(appGuid((i * 7) % oldApps), metricOf(i), 'start=0&end=-1&order=DESC', dueMs);
    await sendAtRate(50, 2, askTwoDays);
    const twoDays = await sendAtRate(50, secs, askTwoDays);
    await pause(5_000);
    context.progress('api: one large answer');
    const large = await largeAnswer(client, eventgenerator.pid);
    return { figures: [...figuresOf(recent, twoDays), ...figuresOfLarge(large, largeRows)] };
  } finally {
    client.close();
  }
}

async function largeAnswer(client: ApiClient, pid: number) {
  const before = watchMemory(pid);
  await pause(2_000);
  const residentBefore = before.stop();
  const during = watchMemory(pid);
  const answer = await client.history(appGuid(0), largeMetric, 'start=0&end=-1&order=ASC');
  return { answer, growthBytes: during.stop() - residentBefore };
}

function figuresOf(recent: readonly ApiAnswer[], twoDays: readonly ApiAnswer[]) {
  const complete = recent.map(({ completeMs }) => completeMs);
  const firstBytes = twoDays.map(({ firstByteMs }) => firstByteMs);
  const failed = [...recent, ...twoDays].filter(({ status }) => status !== 200).length;
  return [
    { name: 'failed', value: failed, target: { atMost: 0 } },
    {
      name: 'ring_points',
      value: quantile(
        recent.map(({ objects }) => objects),
        0.5,
      ),
    },
    { name: 'ring_p50_ms', value: quantile(complete, 0.5) },
    { name: 'ring_p99_ms', value: quantile(complete, 0.99), target: { atMost: 10 } },
    {
      name: 'two_days_points',
      value: quantile(
        twoDays.map(({ objects }) => objects),
        0.5,
      ),
    },
    { name: 'two_days_first_byte_p50_ms', value: quantile(firstBytes, 0.5) },
    { name: 'two_days_first_byte_p99_ms', value: quantile(firstBytes, 0.99), target: { atMost: 100 } },
    {
      name: 'two_days_complete_p99_ms',
      value: quantile(
        twoDays.map(({ completeMs }) => completeMs),
        0.99,
      ),
    },
  ];
}

function figuresOfLarge(
  { answer, growthBytes }: { answer: ApiAnswer; growthBytes: number },
  expectedRows: number,
) {
  return [
    { name: 'large_rows', value: answer.objects, target: { atLeast: expectedRows } },
    { name: 'large_first_byte_ms', value: answer.firstByteMs },
    { name: 'large_complete_s', value: answer.completeMs / 1000 },
    { name: 'large_rss_growth_mb', value: growthBytes / 1e6, target: { atMost: 50 } },
  ];
}

function metricOf(i: number): string {
  return metricTypes[i % metricTypes.length] ?? 'cpu';
}

import { expect, test } from '@jest/globals';
import { msToNs } from '../../src/util/clock.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import type { RecentQuery } from '../../src/history/app-metric-store.js';
import type { HistoryKey } from '../../src/history/history-key.js';
import { createWarmUp } from '../../src/history/warm-up.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

const cpu: HistoryKey = { metricType: 'cpu', capacity: 10, reachSecs: 240 };
const disk: HistoryKey = { metricType: 'disk', capacity: 10, reachSecs: 240 };

function point(appId: string, metricType: string, secs: number): AppMetric {
  return { appId, metricType, value: 1n, unit: '%', timestampNs: BigInt(secs) * 1_000_000_000n };
}

function harness(batches: (call: number) => AsyncIterable<readonly AppMetric[]>) {
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  const queries: (readonly RecentQuery[])[] = [];
  const seeded: { appId: string; metricType: string; points: number }[] = [];
  const unwanted = new Set<string>();
  const complete: string[] = [];
  const warmUp = createWarmUp({
    clock,
    logger,
    metrics: createMetrics(),
    isWanted: (appId) => !unwanted.has(appId),
    seed: (appId, { metricType }, points) => void seeded.push({ appId, metricType, points: points.length }),
    seeded: (appId) => void complete.push(appId),
    store: {
      readRecent(wanted) {
        queries.push(wanted);
        return batches(queries.length);
      },
    },
  });
  return { clock, complete, lines, queries, seeded, unwanted, warmUp };
}

async function* inBatches(...batches: AppMetric[][]): AsyncGenerator<readonly AppMetric[]> {
  for (const batch of batches) yield batch;
}

async function* broken(...batches: AppMetric[][]): AsyncGenerator<readonly AppMetric[]> {
  yield* inBatches(...batches);
  throw new Error('connection lost');
}

test('one query asks for all histories, and each is seeded whole, even across batches', async () => {
  const { clock, complete, queries, seeded, warmUp } = harness(() =>
    inBatches(
      [point('a', 'cpu', 1), point('a', 'cpu', 2)],
      [point('a', 'cpu', 3), point('a', 'disk', 1), point('b', 'cpu', 1)],
    ),
  );
  warmUp.want(
    new Map([
      ['a', [cpu, disk]],
      ['b', [cpu]],
    ]),
  );
  expect(warmUp.isReading()).toBe(true);
  await clock.advance(0);
  expect(warmUp.isReading()).toBe(false);
  const sinceNs = msToNs(clock.now() - 240_000);
  expect(queries).toEqual([
    [
      { appId: 'a', metricType: 'cpu', sinceNs },
      { appId: 'a', metricType: 'disk', sinceNs },
      { appId: 'b', metricType: 'cpu', sinceNs },
    ],
  ]);
  expect(seeded).toEqual([
    { appId: 'a', metricType: 'cpu', points: 3 },
    { appId: 'a', metricType: 'disk', points: 1 },
    { appId: 'b', metricType: 'cpu', points: 1 },
  ]);
  expect(complete).toEqual(['a', 'b']);
});

test('a failed read is tried again later, only for apps that are still wanted, and said once', async () => {
  const { clock, lines, queries, seeded, unwanted, warmUp } = harness((call) =>
    call < 3 ? broken([point('a', 'cpu', 1)]) : inBatches([point('a', 'cpu', 1)]),
  );
  warmUp.want(
    new Map([
      ['a', [cpu]],
      ['b', [cpu]],
    ]),
  );
  await clock.advance(0);
  unwanted.add('b');
  expect(queries).toHaveLength(1);
  await clock.advance(1000);
  expect(queries).toHaveLength(2);
  await clock.advance(2000);
  expect(queries[2]?.map((query) => query.appId)).toEqual(['a']);
  expect(seeded).toEqual([{ appId: 'a', metricType: 'cpu', points: 1 }]);
  expect(lines.map((line) => line.event)).toEqual(['warm-up.failed', 'warm-up.done']);
  expect(clock.pendingTimers).toBe(0);
});

test('many histories are read in two queries at once; if one of them fails, all are read again', async () => {
  const appIds = Array.from({ length: 1_001 }, (_, i) => `app-${i}`);
  const halves = [appIds.slice(0, 501), appIds.slice(501)] as const;
  const points = (ids: readonly string[]) => ids.map((appId) => point(appId, 'cpu', 1));
  const { clock, complete, lines, queries, seeded, warmUp } = harness((call) =>
    call === 2 ? broken(points(halves[1].slice(0, 3))) : inBatches(points(halves[(call - 1) % 2]!)),
  );
  warmUp.want(new Map(appIds.map((appId) => [appId, [cpu]])));
  await clock.advance(0);
  expect(queries.map((wanted) => wanted.map(({ appId }) => appId))).toEqual(halves);
  expect(seeded).toHaveLength(501 + 2);
  expect(complete).toEqual([]);
  await clock.advance(1000);
  expect(queries).toHaveLength(4);
  expect(seeded).toHaveLength(503 + 1_001);
  expect(complete).toEqual(appIds);
  expect(lines.map(({ event }) => event)).toEqual(['warm-up.failed', 'warm-up.done']);
});

test('what is wanted while a query runs is asked for in the next one', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { clock, queries, warmUp } = harness(async function* (call) {
    if (call === 1) await held;
    yield [];
  });
  warmUp.want(new Map([['a', [cpu]]]));
  warmUp.want(new Map([['b', [cpu]]]));
  await clock.advance(0);
  expect(queries).toHaveLength(1);
  release();
  await clock.advance(0);
  expect(queries[1]?.map((query) => query.appId)).toEqual(['b']);
});

test('an app whose histories are wanted anew while they are read is read again', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { clock, queries, warmUp } = harness(async function* (call) {
    if (call === 1) await held;
    yield [];
  });
  warmUp.want(new Map([['a', [cpu]]]));
  await clock.advance(0);
  warmUp.want(new Map([['a', [cpu, disk]]]));
  release();
  await clock.advance(0);
  expect(queries.map((wanted) => wanted.map(({ metricType }) => metricType))).toEqual([
    ['cpu'],
    ['cpu', 'disk'],
  ]);
});

test('stop ends the waiting between tries', async () => {
  const { clock, warmUp } = harness(() => broken());
  warmUp.want(new Map([['a', [cpu]]]));
  await clock.timersPending(1);
  await warmUp.stop();
  expect(clock.pendingTimers).toBe(0);
});

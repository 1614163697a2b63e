import { beforeEach, describe, expect, test } from '@jest/globals';
import type { UnauthorizedJob } from '../../../src/collection/pool/job.js';
import { createAppCollector } from '../../../src/collection/plan/collect-app.js';
import { runJob } from '../../../src/collection/worker/run-job.js';
import { LogCacheError } from '../../../src/log-cache/log-cache.js';
import { appId, gauge, logCacheOf, SimulatedStore } from '../../log-cache/simulated-log-cache.js';
import { ManualClock } from '../../support/manual-clock.js';
import { trusting } from '../trusting.js';
import { wholeCycle } from '../whole-cycle.js';

const second = 1_000_000_000n;
const end = 1_755_700_000n * second + 700_000_000n;

let store: SimulatedStore;
let reads: 'works' | 'fails';
let queries: 'work' | 'fail';
beforeEach(() => {
  store = new SimulatedStore();
  reads = 'works';
  queries = 'work';
});

async function collect(
  metricTypes: string[],
  over: { statWindowSecs?: number; httpWindowSecs?: number } = {},
) {
  const logCache = logCacheOf(store);
  const clock = new ManualClock();
  const collector = {
    run: (job: UnauthorizedJob) => {
      const failure = new LogCacheError('server-error', 'log-cache answered 500');
      const failing = () => Promise.reject(failure);
      return runJob(
        { ...job, authorization: null },
        {
          read: reads === 'works' ? (request, take) => logCache.read(request, take) : failing,
          readTimers: failing,
          oldest: (request, take) => logCache.oldest(request, take),
          instantQuery:
            queries === 'work' ? (request, take) => logCache.instantQuery(request, take) : failing,
        },
        clock,
      );
    },
  };
  const request = { appId, metricTypes, endNs: end, statWindowSecs: 120, httpWindowSecs: 40, ...over };
  const parts = { collector, queries: { isUp: () => true } };
  const collection = wholeCycle(createAppCollector(parts, clock, trusting(clock)).collect(request));
  await clock.advance(10);
  const { outcomes, ...rest } = await collection;
  expect(clock.pendingTimers).toBe(0);
  return { outcomes: Object.fromEntries(outcomes), ...rest };
}

/** In the first cycle of an app whose gauges do not prove that log-cache holds the window. */
const look = 1;
const zero = (unit: string) => ({ kind: 'value', value: 0n, unit });
const noData = { kind: 'no-data' };
const ago = (secs: bigint) => end - secs * second;

test('one read for all gauges, one query per http metric type, each type once', async () => {
  await collect(['cpu', 'throughput', 'cpu', 'memoryutil', 'throughput', 'responsetime', 'jobs']);
  expect(store.reads[0]).toMatchObject({
    startNs: end - 120n * second,
    endNs: end,
    nameFilter: '^(cpu|memory|memory_quota|jobs)$',
  });
  expect(store.queries).toHaveLength(2);
});

test('no rules, no requests', async () => {
  expect(await collect([])).toMatchObject({ outcomes: {}, cost: { requests: 0 } });
});

test('the query ends at a whole second and its window is its divisor', async () => {
  await collect(['throughput']);
  expect(store.queries).toMatchObject([
    { timeSecs: 1_755_700_000, query: expect.stringMatching(/\[40s\]\)\) \/ 40$/) },
  ]);
});

describe('an http metric type without a request in the window', () => {
  test('is 0 if the read of the gauges saw a container of the app', async () => {
    store.add(gauge(ago(5n), 'memory', 1));
    const { outcomes, cost } = await collect(['memoryused', 'throughput', 'responsetime']);
    expect(outcomes).toMatchObject({ throughput: zero('rps'), responsetime: zero('ms') });
    expect(cost.requests).toBe(3 + look);
  });

  test('is no data if log-cache knows nothing of the app, as after its restart', async () => {
    const { outcomes, cost } = await collect(['cpu', 'throughput']);
    expect(outcomes).toEqual({ cpu: noData, throughput: noData });
    expect(cost.requests).toBe(2);
  });

  test('is no data if the container was seen only before the window', async () => {
    store.add(gauge(ago(60n), 'cpu', 1));
    expect((await collect(['cpu', 'throughput'])).outcomes).toMatchObject({ throughput: noData });
  });

  test.each([[['throughput']], [['jobs', 'throughput']], [['cpuutil', 'throughput', 'responsetime']]])(
    'is settled by one probe where the gauges of %j cannot tell',
    async (metricTypes) => {
      const without = await collect(metricTypes);
      expect(without.outcomes).toMatchObject({ throughput: noData });
      store.add(gauge(ago(5n), 'cpu', 1));
      const { outcomes, cost } = await collect(metricTypes);
      expect(outcomes).toMatchObject({ throughput: zero('rps') });
      expect(cost.requests).toBe(metricTypes.length + 1 + look);
    },
  );

  test('is settled by a probe where its window begins before that of the gauges', async () => {
    store.add(gauge(ago(200n), 'cpu', 1));
    const { outcomes } = await collect(['cpu', 'throughput'], { httpWindowSecs: 300 });
    expect(outcomes).toEqual({ cpu: noData, throughput: zero('rps') });
  });

  test('is a failure, not a zero, if the probe fails', async () => {
    reads = 'fails';
    const { outcomes } = await collect(['throughput']);
    expect(outcomes['throughput']).toEqual({
      kind: 'failed',
      failure: 'server-error',
      message: 'looking for a container metric: log-cache answered 500',
    });
  });
});

test('a value needs no probe', async () => {
  store.vector = [{ labels: { source_id: appId, instance_id: '0' }, value: 0.2 }];
  const { outcomes, cost } = await collect(['throughput']);
  expect(outcomes).toEqual({ throughput: { kind: 'value', value: 1n, unit: 'rps' } });
  expect(cost.requests).toBe(1 + look);
});

test('failures stay failures, and each costs only its own metric types', async () => {
  const failed = { kind: 'failed', failure: 'server-error' };
  store.add(gauge(ago(5n), 'cpu', 3));
  store.vector = [{ labels: { source_id: appId, instance_id: '0' }, value: 7 }];
  queries = 'fail';
  expect((await collect(['cpu', 'throughput'])).outcomes).toMatchObject({
    cpu: { kind: 'value', value: 3n },
    throughput: failed,
  });
  queries = 'work';
  reads = 'fails';
  expect((await collect(['cpu', 'jobs', 'throughput'])).outcomes).toMatchObject({
    cpu: failed,
    jobs: failed,
    throughput: { kind: 'value', value: 7n },
  });
});

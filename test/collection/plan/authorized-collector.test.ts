import { expect, test } from '@jest/globals';
import {
  createAuthorizedCollector,
  type LogCacheTokens,
} from '../../../src/collection/plan/authorized-collector.js';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { CollectionJob, CollectionResult } from '../../../src/collection/pool/job.js';
import type { LogCacheFailureKind } from '../../../src/log-cache/log-cache.js';

const job = { kind: 'query', metricType: 'throughput', appIds: ['a'], timeSecs: 1, windowSecs: 40 } as const;
const cost = { ...noCost(), requests: 1 };
const good: CollectionResult = { kind: 'query', outcomes: { a: { kind: 'empty' } }, cost };
const failed = (failure: LogCacheFailureKind): CollectionResult => ({
  kind: 'failed',
  failure,
  message: 'm',
  cost,
});

/** A log-cache that takes only the tokens named; what it does with others is `refusal`. */
function setUp(accepted: string[], tokens: Partial<LogCacheTokens> | null, refusal = failed('unauthorized')) {
  const used: (string | null)[] = [];
  const refreshed: string[] = [];
  const told: string[] = [];
  const pool = {
    run: async ({ authorization }: CollectionJob) => {
      used.push(authorization);
      return authorization === null || accepted.includes(authorization) ? good : refusal;
    },
  };
  const source = tokens && {
    authorization: async () => 'old',
    refreshAfterRejection: async (rejected: string, appIds: readonly string[]) => {
      refreshed.push(rejected);
      told.push(`${rejected} refused for ${appIds.join()}`);
      return 'new';
    },
    accepted: (authorization: string, appIds: readonly string[]) =>
      void told.push(`${authorization} served ${appIds.join()}`),
    ...tokens,
  };
  return { collector: createAuthorizedCollector(pool, source), used, refreshed, told };
}

test('a job is sent with the token of the moment', async () => {
  const { collector, used, refreshed } = setUp(['old'], {});
  expect(await collector.run(job)).toBe(good);
  expect(used).toEqual(['old']);
  expect(refreshed).toEqual([]);
});

test('over gRPC there is no token', async () => {
  const { collector, used } = setUp([], null);
  expect(await collector.run(job)).toBe(good);
  expect(used).toEqual([null]);
});

test('what log-cache refuses is tried once more with a newer token', async () => {
  const { collector, used, refreshed } = setUp(['new'], {});
  expect(await collector.run(job)).toEqual({ ...good, cost: { ...cost, requests: 2 } });
  expect(used).toEqual(['old', 'new']);
  expect(refreshed).toEqual(['old']);
});

test('so is a query in which each app was refused', async () => {
  const outcome = { kind: 'failed', failure: 'unauthorized', message: 'm' } as const;
  const { collector, used } = setUp(['new'], {}, { kind: 'query', outcomes: { a: outcome }, cost });
  expect(await collector.run(job)).toMatchObject({ outcomes: { a: { kind: 'empty' } } });
  expect(used).toEqual(['old', 'new']);
});

test('what the newer token is refused too is the failure of that app', async () => {
  const { collector, used } = setUp([], {});
  expect(await collector.run(job)).toMatchObject({ kind: 'failed', failure: 'unauthorized' });
  expect(used).toEqual(['old', 'new']);
});

test.each([
  ['none is to be had now', async () => null],
  ['refreshing fails', () => Promise.reject(new Error('UAA is away'))],
])('the refusal stands when %s', async (_when, refreshAfterRejection) => {
  const { collector, used } = setUp(['new'], { refreshAfterRejection });
  expect(await collector.run(job)).toMatchObject({ failure: 'unauthorized' });
  expect(used).toEqual(['old']);
});

test.each(['timeout', 'connection', 'server-error', 'client-error', 'bad-answer', 'thread'] as const)(
  'the failure %s asks UAA for nothing',
  async (failure) => {
    const { collector, used, refreshed } = setUp([], {}, failed(failure));
    expect(await collector.run(job)).toMatchObject({ failure });
    expect(used).toEqual(['old']);
    expect(refreshed).toEqual([]);
  },
);

test('without a token nothing is asked', async () => {
  const { collector, used } = setUp([], { authorization: () => Promise.reject(new Error('wrong secret')) });
  expect(await collector.run(job)).toEqual({
    kind: 'failed',
    failure: 'no-token',
    message: 'wrong secret',
    cost: noCost(),
  });
  expect(used).toEqual([]);
});

const forbidden = { kind: 'failed', failure: 'unauthorized', message: 'm' } as const;
const late = { kind: 'failed', failure: 'timeout', message: 'm' } as const;

test('who refuses or serves which apps with which token is told', async () => {
  const first = setUp(['new'], {});
  await first.collector.run({ ...job, appIds: ['a', 'b'] });
  expect(first.told).toEqual(['old refused for a,b', 'new served a']);

  const mixed = { a: { kind: 'empty' }, b: forbidden, c: late } as const;
  const second = setUp([], {}, { kind: 'query', outcomes: mixed, cost });
  await second.collector.run({ ...job, appIds: ['a', 'b', 'c'] });
  expect(second.told).toEqual(['old served a', 'old refused for b', 'new served a']);

  const read: CollectionResult = {
    kind: 'read',
    outcomes: {},
    containerMetricSeen: false,
    containers: null,
    fromNs: 0n,
    oldestNs: null,
    settled: null,
    cost,
  };
  const third = setUp([], {}, read);
  const readJob = { kind: 'read', appId: 'a', startNs: 0n, endNs: 1n, gaugeTypes: [] } as const;
  await third.collector.run({ ...readJob, presenceSinceNs: 0n, settled: null });
  expect(third.told).toEqual(['old served a']);
});

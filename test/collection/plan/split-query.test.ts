import { expect, test } from '@jest/globals';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { CollectionResult, UnauthorizedJob } from '../../../src/collection/pool/job.js';
import { splitQuery } from '../../../src/collection/plan/split-query.js';
import { runJob } from '../../../src/collection/worker/run-job.js';
import { type LogCache, LogCacheError, type RequestFailure } from '../../../src/log-cache/log-cache.js';

const apps = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const job = { kind: 'query', metricType: 'throughput', appIds: apps, timeSecs: 1, windowSecs: 40 } as const;

/** A log-cache on which every query that names one of these apps fails. */
function failingFor(failingApps: readonly string[], kind: RequestFailure = 'gave-up') {
  const queries: string[] = [];
  const instantQuery: LogCache['instantQuery'] = async ({ query }, take) => {
    const ids = (/source_id=~?"([^"]*)"/.exec(query)?.[1] ?? '').split('|');
    queries.push(ids.join(''));
    if (ids.some((id) => failingApps.includes(id))) throw new LogCacheError(kind, 'failed');
    return take({ samples: ids.map((id) => ({ labels: { source_id: id }, value: 1 })), bytes: 1 });
  };
  const read = () => Promise.reject(new Error('not asked for'));
  const collector = {
    run: (unauthorized: UnauthorizedJob) =>
      runJob(
        { ...unauthorized, authorization: null },
        { read, readTimers: read, oldest: read, instantQuery },
      ),
  };
  return { collector, queries };
}

test('apps share one query', async () => {
  const { collector, queries } = failingFor([]);
  const { outcomes, cost } = await splitQuery(job, collector);
  expect(queries).toEqual(['abcdefgh']);
  expect([...outcomes.keys()]).toEqual(apps);
  expect(outcomes.get('h')).toEqual({ kind: 'value', value: 1n, unit: 'rps' });
  expect(cost.requests).toBe(1);
});

test('one app that is refused at once is found by halving, and costs no other its value', async () => {
  const { collector, queries } = failingFor(['c'], 'client-error');
  const { outcomes, cost } = await splitQuery(job, collector);
  for (const app of apps) expect(outcomes.get(app)?.kind).toBe(app === 'c' ? 'failed' : 'value');
  expect(queries.sort()).toEqual(['abcdefgh', 'abcd', 'efgh', 'ab', 'cd', 'c', 'd'].sort());
  expect(cost.requests).toBe(7);
});

test.each(['gave-up', 'server-error'] as const)(
  'after a %s each app is asked alone: there is no time for a deadline in each of several steps',
  async (failure) => {
    const { collector, queries } = failingFor(['c'], failure);
    const { outcomes, cost } = await splitQuery(job, collector);
    for (const app of apps) expect(outcomes.get(app)?.kind).toBe(app === 'c' ? 'failed' : 'value');
    expect(queries).toEqual(['abcdefgh', ...apps]);
    expect(cost.requests).toBe(9);
  },
);

test.each([
  ['client-error', 15],
  ['gave-up', 9],
  ['connection', 9],
] as const)(
  'where every app fails with %s there are at most twice as many queries as apps',
  async (failure, count) => {
    const { collector, queries } = failingFor(apps, failure);
    const { outcomes } = await splitQuery(job, collector);
    expect([...outcomes.values()].every(({ kind }) => kind === 'failed')).toBe(true);
    expect(queries).toHaveLength(count);
  },
);

test('apps of a query without an answer in time are not asked for again: each might hang as long', async () => {
  const { collector, queries } = failingFor(['c'], 'timeout');
  const { outcomes } = await splitQuery(job, collector);
  for (const app of apps) expect(outcomes.get(app)).toMatchObject({ kind: 'failed', failure: 'timeout' });
  expect(queries).toEqual(['abcdefgh']);
});

test('without a token nothing is asked again', async () => {
  let asked = 0;
  const result: CollectionResult = {
    kind: 'failed',
    failure: 'no-token',
    message: 'no token',
    cost: noCost(),
  };
  const run = async () => {
    asked++;
    return result;
  };
  await splitQuery(job, { run });
  expect(asked).toBe(1);
});

test('an app that the collector left out is a failure', async () => {
  const result: CollectionResult = { kind: 'query', outcomes: {}, cost: noCost() };
  const { outcomes } = await splitQuery({ ...job, appIds: ['a'] }, { run: async () => result });
  expect(outcomes.get('a')).toMatchObject({ kind: 'failed', failure: 'thread' });
});

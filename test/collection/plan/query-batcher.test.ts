import { beforeEach, describe, expect, test } from '@jest/globals';
import { noCost, sumOfCosts } from '../../../src/collection/pool/cost.js';
import type { CollectionResult, QueryJob, UnauthorizedJob } from '../../../src/collection/pool/job.js';
import type { HttpQuestion } from '../../../src/collection/plan/collection-request.js';
import { QueryBatcher } from '../../../src/collection/plan/query-batcher.js';
import type { LogCacheFailureKind } from '../../../src/log-cache/log-cache.js';
import { ManualClock } from '../../support/manual-clock.js';

const minute = 60_000;
let clock: ManualClock;
let queries: QueryJob[];
/** A query that names one of these fails. */
let failing: Map<string, LogCacheFailureKind>;
let areUp: boolean;
let timersRead: UnauthorizedJob[];
let tooManyTimers: boolean;
let timersFail: boolean;
let batcher: QueryBatcher;
beforeEach(() => {
  clock = new ManualClock();
  queries = [];
  failing = new Map();
  areUp = true;
  timersRead = [];
  tooManyTimers = timersFail = false;
  batcher = new QueryBatcher({ run }, { isUp: () => areUp }, clock);
});

async function run(job: UnauthorizedJob): Promise<CollectionResult> {
  if (job.kind === 'timers') return runTimers(job);
  if (job.kind !== 'query') throw new Error('not asked for');
  queries.push(job);
  const cost = { ...noCost(), requests: 1, bytes: 100 * job.appIds.length };
  const failure = job.appIds.map((appId) => failing.get(appId)).find((kind) => kind !== undefined);
  if (failure) return { kind: 'failed', failure, message: 'm', cost };
  const outcome = { kind: 'value', value: 7n, unit: 'rps' } as const;
  return { kind: 'query', outcomes: Object.fromEntries(job.appIds.map((appId) => [appId, outcome])), cost };
}

function runTimers(job: UnauthorizedJob): CollectionResult {
  timersRead.push(job);
  const cost = { ...noCost(), requests: 1 };
  if (timersFail) return { kind: 'failed', failure: 'timeout', message: 'm', cost };
  const outcome = { kind: 'value', value: 5n, unit: 'timers' } as const;
  const outcomes = tooManyTimers ? null : { throughput: outcome, responsetime: outcome };
  return { kind: 'timers', outcomes, cost };
}

const question = { metricType: 'throughput', timeSecs: 1_000, windowSecs: 40 } as const;

/** Asks for all at once and lets the time pass that questions wait for company. */
async function ask(appIds: readonly string[], over: Partial<HttpQuestion> = {}) {
  const answers = appIds.map((appId) => batcher.ask({ ...question, appId, ...over }));
  await clock.advance(10);
  return Promise.all(answers);
}

const asked = () => queries.map(({ appIds }) => appIds.join(''));
const kinds = (answers: readonly { outcome: { kind: string } }[]) =>
  answers.map(({ outcome }) => outcome.kind).join(' ');

test('apps that are due at the same time share one query', async () => {
  const answers = await ask(['a', 'b', 'c']);
  expect(queries).toEqual([{ kind: 'query', ...question, appIds: ['a', 'b', 'c'] }]);
  expect(kinds(answers)).toBe('value value value');
});

test('what a shared query cost is counted once', async () => {
  const answers = await ask(['a', 'b', 'c']);
  expect(sumOfCosts(answers.map(({ cost }) => cost))).toMatchObject({ requests: 1, bytes: 300 });
});

test('a query waits 10 ms for others, and not at all once it is full', async () => {
  const one = batcher.ask({ ...question, appId: 'a' });
  await clock.advance(9);
  expect(asked()).toEqual([]);
  await clock.advance(1);
  expect(asked()).toEqual(['a']);
  await one;
  for (const appId of 'bcdefghijkl') void batcher.ask({ ...question, appId });
  expect(asked()).toEqual(['a', 'bcdefghijk']);
  await clock.advance(10);
  expect(asked()).toEqual(['a', 'bcdefghijk', 'l']);
  expect(clock.pendingTimers).toBe(0);
});

test('only questions with the same metric type, time and window share a query', async () => {
  const all = [
    ask(['a', 'b']),
    ask(['c'], { metricType: 'responsetime' }),
    ask(['d'], { timeSecs: 1_001 }),
    ask(['e'], { windowSecs: 60 }),
  ];
  await Promise.all(all);
  expect(asked().sort()).toEqual(['ab', 'c', 'd', 'e']);
});

test('ids that would make the URL long are spread over several queries', async () => {
  const answers = await ask(Array.from({ length: 9 }, (_, i) => `${i}${'x'.repeat(299)}`));
  expect(queries.map(({ appIds }) => appIds.length)).toEqual([3, 3, 3]);
  expect(answers).toHaveLength(9);
});

test('an app id that cannot share a query is asked for alone', async () => {
  await ask(['a', 'x|y', 'b']);
  expect(asked().sort()).toEqual(['ab', 'x|y']);
});

test('an app that is asked for twice at once gets two answers of one query', async () => {
  expect(kinds(await ask(['a', 'a']))).toBe('value value');
  expect(asked()).toEqual(['a']);
});

test('one app’s failure costs no other its value, and its batch is paid for once', async () => {
  failing.set('b', 'gave-up');
  const answers = await ask(['a', 'b', 'c']);
  expect(kinds(answers)).toBe('value failed value');
  expect(sumOfCosts(answers.map(({ cost }) => cost)).requests).toBe(4);
});

test('an app that made its batch fail is asked alone until it was answered for ten minutes', async () => {
  failing.set('b', 'gave-up');
  await ask(['a', 'b', 'c']);
  queries = [];
  await ask(['a', 'b', 'c']);
  expect(asked().sort()).toEqual(['ac', 'b']);
  await clock.advance(10 * minute - 1_000);
  queries = [];
  await ask(['a', 'b', 'c']);
  expect(asked().sort()).toEqual(['ac', 'b']);
  failing.clear();
  await clock.advance(10 * minute - 1_000);
  queries = [];
  await ask(['a', 'b', 'c']);
  expect(asked().sort()).toEqual(['ac', 'b']);
  await clock.advance(1_000);
  queries = [];
  await ask(['a', 'b', 'c']);
  expect(asked()).toEqual(['abc']);
});

test('where every app fails nobody is to blame, and the next cycle shares again', async () => {
  for (const appId of 'abc') failing.set(appId, 'server-error');
  expect(kinds(await ask(['a', 'b', 'c']))).toBe('failed failed failed');
  queries = [];
  failing.clear();
  await ask(['a', 'b', 'c']);
  expect(asked()).toEqual(['abc']);
});

test('an app that breaks the connection costs no other its value', async () => {
  failing.set('b', 'connection');
  expect(kinds(await ask(['a', 'b', 'c']))).toBe('value failed value');
});

test('a log-cache that cannot be reached blames nobody', async () => {
  for (const appId of 'abc') failing.set(appId, 'connection');
  expect(kinds(await ask(['a', 'b', 'c']))).toBe('failed failed failed');
  failing.clear();
  queries = [];
  await ask(['a', 'b', 'c']);
  expect(asked()).toEqual(['abc']);
});

test('of apps that are asked alone only so many are remembered', async () => {
  const busy = Array.from({ length: 1_001 }, (_, i) => `busy-${i}`);
  for (const appId of busy) failing.set(appId, 'gave-up');
  for (const appId of busy) await ask([appId, 'a']);
  failing.clear();
  queries = [];
  await ask(['busy-0', 'busy-1', 'busy-1000', 'a']);
  expect(queries.map(({ appIds }) => appIds)).toEqual(
    expect.arrayContaining([['busy-1'], ['busy-1000'], ['busy-0', 'a']]),
  );
}, 180_000);

test('apps that together had no answer in time are asked alone from the next cycle on', async () => {
  for (const appId of 'abc') failing.set(appId, 'timeout');
  expect(kinds(await ask(['a', 'b', 'c']))).toBe('failed failed failed');
  expect(asked()).toEqual(['abc']);
  queries = [];
  failing.clear();
  expect(kinds(await ask(['a', 'b', 'c']))).toBe('value value value');
  expect(asked().sort()).toEqual(['a', 'b', 'c']);
});

test('while all queries hang nobody is to blame for a batch without an answer', async () => {
  for (const appId of 'abc') failing.set(appId, 'timeout');
  areUp = false;
  await ask(['a', 'b', 'c']);
  areUp = true;
  queries = [];
  failing.clear();
  await ask(['a', 'b', 'c']);
  expect(asked()).toEqual(['abc']);
});

describe('timers instead of a query that takes too long', () => {
  let timeSecs: number;
  beforeEach(() => {
    timeSecs = 1_000;
  });

  /** One cycle of one app. Returns what its two http metrics came from. */
  async function cycle(appId = 'a'): Promise<string> {
    timeSecs += 40;
    const questions = ['throughput', 'responsetime'] as const;
    const answers = questions.map((metricType) => batcher.ask({ ...question, metricType, timeSecs, appId }));
    await clock.advance(10);
    const units = (await Promise.all(answers)).map(({ outcome }) =>
      outcome.kind === 'value' ? outcome.unit : outcome.kind,
    );
    await clock.advance(39_990);
    return units.join(' ');
  }

  test.each(['timeout', 'gave-up'] as const)(
    'are read after two cycles with %s, once for both',
    async (kind) => {
      failing.set('a', kind);
      expect(await cycle()).toBe('failed failed');
      expect(timersRead).toEqual([]);
      expect(await cycle()).toBe('timers timers');
      expect(timersRead).toEqual([{ kind: 'timers', appId: 'a', timeSecs, windowSecs: 40 }]);
      queries = [];
      expect(await cycle()).toBe('timers timers');
      expect(queries).toEqual([]);
      expect(timersRead).toHaveLength(2);
    },
  );

  test('are not read where an answer came in between, or another app of the query may be to blame', async () => {
    failing.set('a', 'gave-up');
    await cycle();
    failing.clear();
    expect(await cycle()).toBe('rps rps');
    failing.set('a', 'gave-up');
    expect(await cycle()).toBe('failed failed');
    for (const appId of ['b', 'c']) failing.set(appId, 'timeout');
    for (const at of [1, 2, 3]) {
      areUp = false;
      await ask(['b', 'c'], { timeSecs: at });
    }
    expect(timersRead).toEqual([]);
  });

  test('are not read while all queries hang', async () => {
    failing.set('a', 'timeout');
    areUp = false;
    for (let i = 0; i < 4; i++) expect(await cycle()).toBe('failed failed');
    expect(timersRead).toEqual([]);
  });

  test('one question every ten minutes goes to the query, and an answer ends it', async () => {
    failing.set('a', 'gave-up');
    for (let i = 0; i < 2; i++) await cycle();
    queries = [];
    for (let i = 0; i < 14; i++) expect(await cycle()).toBe('timers timers');
    expect(queries).toEqual([]);
    expect(await cycle()).toBe('timers timers');
    expect(queries).toHaveLength(1);
    failing.clear();
    areUp = false;
    for (let i = 0; i < 15; i++) expect(await cycle()).toBe('timers timers');
    areUp = true;
    expect(await cycle()).toBe('rps timers');
    expect(await cycle()).toBe('rps rps');
  });

  test('are left alone for ten minutes where there are too many', async () => {
    tooManyTimers = true;
    failing.set('a', 'gave-up');
    for (let i = 0; i < 16; i++) expect(await cycle()).toBe('failed failed');
    expect(timersRead).toHaveLength(1);
    expect(await cycle()).toBe('failed failed');
    expect(timersRead).toHaveLength(2);
    failing.clear();
    expect(await cycle()).toBe('rps rps');
  });

  test('a read that fails is a failure that says so', async () => {
    failing.set('a', 'gave-up');
    await cycle();
    timersFail = true;
    const { outcome } = await batcher.ask({ ...question, timeSecs: timeSecs + 40, appId: 'a' });
    expect(outcome).toEqual({ kind: 'failed', failure: 'timeout', message: 'reading http timers: m' });
  });
});

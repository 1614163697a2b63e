import { afterEach, expect, test } from '@jest/globals';
import type { DecisionsReader } from '../../src/decisions/open-decisions.js';
import { explain, type Explanation } from '../../src/explanation/explain.js';
import { decisionsRoutes } from '../../src/http/decisions-routes.js';
import type { Listener } from '../../src/http/listener.js';
import { settings } from '../evaluation/examples.js';
import { factsOf } from '../explanation/examples.js';
import { ManualClock } from '../support/manual-clock.js';
import { askListener, testListener } from './support.js';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

function listenerWith(reader: Partial<DecisionsReader>, clock = new ManualClock()): Listener {
  const listener = testListener();
  open.push(listener);
  const nobody = () => Promise.reject(new Error('not asked here'));
  decisionsRoutes(
    { explain: nobody, changes: nobody, list: nobody, count: nobody, ...reader },
    clock,
  )(listener.app);
  return listener;
}

test('a list goes on where its page before ended', async () => {
  const asked: unknown[] = [];
  const listener = listenerWith({
    list: async (query) => {
      asked.push(query);
      const apps = query.after === '' ? ['a', 'b'] : ['c'];
      return apps.map((appId) => ({
        appId,
        code: 'at-max',
        sinceMs: 0,
        untilMs: null,
        instanceIndex: 1,
        detail: '',
      }));
    },
  });
  const first = await askListener(listener, '/v1/decisions?reason=at-max&limit=2');
  expect(JSON.parse(first.body)).toMatchObject({
    reason: 'at-max',
    cursor: 'b',
    apps: [{ app_id: 'a' }, { app_id: 'b' }],
  });
  const second = await askListener(listener, '/v1/decisions?reason=at-max&limit=2&cursor=b');
  expect(JSON.parse(second.body)).toMatchObject({ cursor: null, apps: [{ app_id: 'c' }] });
  expect(asked).toEqual([
    { code: 'at-max', after: '', limit: 2 },
    { code: 'at-max', after: 'b', limit: 2 },
  ]);
});

test('a reason without a list is rejected, with what to ask instead', async () => {
  const { status, body } = await askListener(listenerWith({}), '/v1/decisions?reason=at-limit-backoff');
  expect(status).toBe(400);
  expect(body).toContain('listed as at-max and at-min');
  const twice = await askListener(listenerWith({}), '/v1/decisions?reason=at-max&reason=at-min');
  expect(twice.body).toContain('wrong reason: it must be one of fired cooling-down');
});

test('the database that a list needs is named when it is away', async () => {
  const listener = listenerWith({ list: () => Promise.reject(new Error('away')) });
  const asked = async (reason: string) =>
    (await askListener(listener, `/v1/decisions?reason=${reason}`)).body;
  expect(await asked('policy-broken')).toContain('policy_db does not answer');
  expect(await asked('at-max')).toContain('appmetrics_db does not answer');
});

test('changes are those of a week unless a time is given', async () => {
  const asked: number[] = [];
  const clock = new ManualClock();
  const listener = listenerWith(
    {
      changes: async ({ sinceMs, untilMs }) => {
        asked.push(sinceMs, untilMs);
        return [];
      },
    },
    clock,
  );
  await askListener(listener, '/v1/apps/a/decisions');
  await askListener(listener, '/v1/apps/a/decisions?since=2023-11-14T00:00:00%2B01:00');
  const nowMs = clock.now();
  expect(asked).toEqual([nowMs - 7 * 86_400_000, nowMs, Date.UTC(2023, 10, 13, 23), nowMs]);
});

test('four questions are answered at a time; who waits in vain for 2 s is told to come again', async () => {
  const clock = new ManualClock();
  const answers: ((explanation: Explanation) => void)[] = [];
  let tellFour = () => {};
  const fourAsked = new Promise<void>((resolve) => (tellFour = resolve));
  const listener = listenerWith(
    {
      explain: () =>
        new Promise((resolve) => {
          if (answers.push(resolve) === 4) tellFour();
        }),
    },
    clock,
  );
  const first = Array.from({ length: 4 }, () => askListener(listener, '/v1/apps/a/decision'));
  await fourAsked;
  const fifth = askListener(listener, '/v1/apps/a/decision');
  await clock.timersPending(1);
  await clock.advance(2_000);
  expect(await fifth).toMatchObject({ status: 503, headers: { 'retry-after': '2' } });
  for (const answer of answers) answer(explain(factsOf([], {}), settings));
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

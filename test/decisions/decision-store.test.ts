import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import {
  createDecisionStore,
  keptChangesPerApp,
  type DecisionChange,
  type DecisionRow,
  type DecisionStore,
} from '../../src/decisions/decision-store.js';
import { tableNames } from '../../src/database/table-names.js';
import { knowledgeOf } from '../explanation/examples.js';
import { createDecisionDatabase, type DecisionDatabase } from './database.js';

const leaseId = '00000000-0000-8000-8000-000000000001';
const dayMs = 86_400_000;

let db: DecisionDatabase;
let store: DecisionStore;
beforeAll(async () => {
  db = await createDecisionDatabase();
  store = createDecisionStore(db.databases.appMetricsDb, tableNames('act'));
});
beforeEach(() => db.target.pool.query('truncate eventgenerator_decision, eventgenerator_decision_change'));
afterAll(() => db.close());

function row(appId: string, changes: Partial<DecisionRow> = {}): DecisionRow {
  return { ...knowledgeOf({ leaseId }), appId, ...changes };
}

function change(appId: string, atMs: number, changes: Partial<DecisionChange> = {}): DecisionChange {
  return { appId, atMs, from: null, to: 'fired', rule: 1, value: '81', text: 'why', ...changes };
}

test('what is written is read again, and replaced by what is written next', async () => {
  const first = row('app', {
    code: 'breaker-open',
    untilMs: Date.now() + 1_000,
    lastTrigger: {
      atMs: 5,
      rule: 2,
      adjustment: '+1',
      direction: 'out',
      result: 'rejected',
      message: 'no <b> "such" app',
    },
    failures: [{ metricType: 'cpu', failure: 'timeout', message: 'late', sinceMs: 7 }],
    breakers: [{ scope: 'app', sinceMs: 5, untilMs: 9 }],
  });
  await store.write([first, row('other')], []);
  expect(await store.read('app')).toEqual({ ...first, updatedAtMs: expect.any(Number) });
  await store.write([row('app', { policyTag: 'other' })], []);
  expect(await store.read('app')).toMatchObject({ code: 'not-breached', lastTrigger: null, failures: [] });
  expect(await store.read('unknown')).toBeNull();
});

test('a new owner keeps the last trigger of the owner before, but not its breaker', async () => {
  const lastTrigger = {
    atMs: 5,
    rule: null,
    adjustment: '+1',
    direction: 'out',
    result: 'rejected',
    message: 'no',
  } as const;
  const breakers = [{ scope: 'app', sinceMs: 5, untilMs: 9 }] as const;
  await store.write([row('app', { lastTrigger, breakers })], []);
  expect(await store.read('app')).toMatchObject({ lastTrigger, breakers });
  await store.write([row('app')], []);
  expect(await store.read('app')).toMatchObject({ lastTrigger, breakers: [] });
  const newer = { ...lastTrigger, atMs: 6, message: null };
  await store.write([row('app', { lastTrigger: newer })], []);
  expect((await store.read('app'))?.lastTrigger).toEqual(newer);
});

test('apps are listed by code, page by page', async () => {
  const apps = ['a', 'b', 'c', 'd', 'e'];
  await store.write(
    apps.map((app) => row(app, { code: app === 'c' ? 'fired' : 'at-max' })),
    [],
  );
  const page = await store.list({ code: 'at-max', after: 'a', limit: 2 });
  expect(page.map(({ appId }) => appId)).toEqual(['b', 'd']);
  expect((await store.list({ code: 'at-max', after: 'd', limit: 2 })).map(({ appId }) => appId)).toEqual([
    'e',
  ]);
});

test('apps are counted by code; codes of a newer version are unknown', async () => {
  const codes = ['at-max', 'fired', 'at-max', 'unknown'] as const;
  await store.write(
    codes.map((code, i) => row(`app ${i}`, { code })),
    [],
  );
  await db.target.pool.query("update eventgenerator_decision set code = 'of-tomorrow' where code = 'fired'");
  expect(Object.fromEntries(await store.count())).toEqual({ 'at-max': 2, unknown: 2 });
});

test('changes are read newest first, within a time; texts are cut to their columns', async () => {
  for (const atMs of [1_000, 2_000, 3_000]) await store.write([], [change('app', atMs)]);
  await store.write([], [change('app', 4_000, { text: 'x'.repeat(500), from: 'fired', to: 'at-max' })]);
  const query = { appId: 'app', sinceMs: 2_000, untilMs: 9_000, limit: 2 };
  const changes = await store.readChanges(query);
  expect(changes.map(({ atMs }) => atMs)).toEqual([4_000, 3_000]);
  expect(changes[0]).toMatchObject({ from: 'fired', to: 'at-max' });
  expect(changes[0]?.text).toHaveLength(300);
});

test('two members may write the same apps at once', async () => {
  const apps = Array.from({ length: 500 }, (_, i) => `app-${i}`);
  const rows = apps.map((app) => row(app));
  await Promise.all([
    ...Array.from({ length: 4 }, () => store.write(rows, [])),
    ...Array.from({ length: 4 }, () => store.write([...rows].reverse(), [])),
  ]);
  expect(await store.list({ code: 'not-breached', after: '', limit: 1_000 })).toHaveLength(500);
});

test('apps are removed, those that are gone with their changes, and no other', async () => {
  const apps = ['gone', 'ruleless', 'other'];
  await store.write(
    apps.map((app) => row(app)),
    apps.map((app) => change(app, 1)),
  );
  await store.remove(['gone', 'ruleless'], ['gone']);
  expect(await Promise.all(apps.map((app) => store.read(app)))).toMatchObject([null, null, {}]);
  const { rows } = await db.target.pool.query(
    'select distinct app_id from eventgenerator_decision_change order by app_id',
  );
  expect(rows).toEqual([{ app_id: 'other' }, { app_id: 'ruleless' }]);
});

async function changesOf(appId: string): Promise<number> {
  const query = { appId, sinceMs: 0, untilMs: Date.now() + dayMs, limit: 10_000 };
  return (await store.readChanges(query)).length;
}

test('old changes, and the oldest of too many, are pruned app by app', async () => {
  const nowMs = Date.now();
  await db.target.pool.query(
    `insert into eventgenerator_decision_change (app_id, changed_at, to_code, text)
     select 'app-' || to_char(app, 'FM0000'), now() - n * interval '1 minute', 'fired', ''
     from generate_series(1, 250) app, generate_series(1, 3) n
     union all select 'many', now() - n * interval '1 minute', 'fired', '' from generate_series(1, 500) n`,
  );
  await store.write([], [change('app-0007', nowMs - 8 * dayMs)]);
  const first = await store.prune('');
  expect([first, await changesOf('app-0007'), await changesOf('many')]).toEqual(['app-0100', 3, 500]);
  const second = await store.prune(first ?? '');
  expect(second).toBe('app-0200');
  expect(await store.prune(second ?? '')).toBeNull();
  expect([await changesOf('app-0250'), await changesOf('many')]).toEqual([3, keptChangesPerApp]);
});

test('rows that nobody renews go after a day', async () => {
  await store.write([row('old'), row('new')], []);
  await db.target.pool.query(
    `update eventgenerator_decision set updated_at = now() - interval '25 hours' where app_id = 'old'`,
  );
  expect(await store.prune('')).toBeNull();
  expect([await store.read('old'), (await store.read('new'))?.code]).toEqual([null, 'not-breached']);
});

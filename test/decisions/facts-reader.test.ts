import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createDecisionStore } from '../../src/decisions/decision-store.js';
import { createFactsReader, type FactsReaderOptions } from '../../src/decisions/facts-reader.js';
import { policyTag, type OwnersKnowledge } from '../../src/explanation/facts.js';
import { explain } from '../../src/explanation/explain.js';
import { createMemberStore } from '../../src/ownership/member-store.js';
import { systemClock } from '../../src/util/clock.js';
import { tableNames } from '../../src/database/table-names.js';
import { insertPolicy } from '../support/autoscaler-tables.js';
import { knowledgeOf } from '../explanation/examples.js';
import { policyOf, when } from '../pipeline/policies.js';
import { createDecisionDatabase, type DecisionDatabase } from './database.js';

const settings = { defaultBreachDurationSecs: 100, collectionIntervalMs: 20_000 };
const leaseId = '11111111-1111-8111-8000-000000000001';

let db: DecisionDatabase;
beforeAll(async () => {
  db = await createDecisionDatabase();
});
beforeEach(() =>
  db.target.pool.query(
    `truncate policy_json, app_metric, eventgenerator_member, eventgenerator_trigger, eventgenerator_decision,
       eventgenerator_decision_change`,
  ),
);
afterAll(() => db.close());

function reader(changes: Partial<FactsReaderOptions> = {}) {
  return createFactsReader({
    ...db.databases,
    mode: 'act',
    settings,
    pool: { mode: 'elastic', static: null },
    clock: systemClock,
    evaluationIntervalMs: 40_000,
    local: null,
    ...changes,
  });
}

/** App metrics every 20 s, the newest `newestSecs` old; '' is no data. */
async function insertValues(metricType: string, values: readonly string[], newestSecs = 1): Promise<void> {
  const newestMs = Date.now() - newestSecs * 1_000;
  await db.target.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select 'app', $1, '%', ($2::bigint - 20000 * (n - 1)) * 1000000, value
     from unnest($3::text[]) with ordinality as v (value, n)`,
    [metricType, Math.floor(newestMs), values],
  );
}

test('what explains an app is read from both databases, in one go', async () => {
  await insertPolicy(db.target.pool, 'app', policyOf(when('cpu > 80', '+1'), when('jobs > 5', '-1')));
  await insertValues('cpu', ['90', '91', '', '92', '93', '94', '95']);
  const members = createMemberStore(db.databases.appMetricsDb, tableNames('act'));
  await members.join({ leaseId, lowestLeaseId: leaseId, instanceGuid: 'guid', instanceIndex: 3 });
  await members.renew(leaseId, 1);
  await db.target.pool.query(
    `insert into eventgenerator_trigger (app_id, posted_at, posted_by, cool_down_until)
     values ('app', now(), $1, now() + interval '60 s')`,
    [leaseId],
  );
  const store = createDecisionStore(db.databases.appMetricsDb, tableNames('act'));
  await store.write([{ ...knowledgeOf({ leaseId, code: 'cooling-down' }), appId: 'app' }], []);

  const facts = await reader()('app');
  expect(facts).toMatchObject({
    policy: { kind: 'usable', minInstances: 1, maxInstances: 10 },
    owner: { leaseId, instanceGuid: 'guid', instanceIndex: 3, isMe: null },
    knowledge: { code: 'cooling-down' },
    knownBy: 'table',
    missing: [],
    withoutValues: [],
  });
  expect(facts.pauses?.coolDownUntilMs).toBeGreaterThan(Date.now());
  const series = facts.histories?.series('app', 'cpu');
  expect([series?.size, series?.unit, series?.valueAt(0), series?.valueAt(2)]).toEqual([7, '%', 90n, null]);
  expect(facts.histories?.series('app', 'jobs')).toBeUndefined();
  expect(explain(facts, settings)).toMatchObject({ verdict: 'held', reasons: [{ code: 'cooling-down' }] });
});

test('an app without policy, and a broken policy', async () => {
  expect((await reader()('app')).policy).toEqual({ kind: 'none' });
  await insertPolicy(db.target.pool, 'app', []);
  expect((await reader()('app')).policy).toMatchObject({ kind: 'broken', problem: /a list/ });
});

test('the owner is found without a lease of its own, and nobody where there are no members', async () => {
  expect((await reader()('app')).owner).toBe('nobody');
  const numbers = { totalInstances: 1, instanceIndex: 0 };
  const facts = await reader({ pool: { mode: 'static', static: numbers } })('app');
  expect(facts.owner).toEqual({ instanceIndex: 0, leaseId: null, instanceGuid: null, isMe: null });
  expect(facts.pauses).toBeNull();
  expect(facts.missing).toEqual(['cool-downs and back-offs: only the owner of the app knows them']);
});

test('what the own member knows comes first', async () => {
  const knowledge = knowledgeOf({ leaseId, code: 'breaker-open', policyTag: policyTag('x') });
  const pauses = { coolDownUntilMs: 5, ignoredOutUntilMs: null, ignoredInUntilMs: null };
  const local = { leaseId: () => leaseId, knowledgeOf: () => knowledge, pausesOf: () => pauses };
  const facts = await reader({ local })('app');
  expect(facts).toMatchObject({ knowledge, pauses, knownBy: 'owner' });
});

test('a new owner that has posted nothing knows the last trigger of the owner before', async () => {
  const lastTrigger = {
    atMs: 5,
    rule: 1,
    adjustment: '+1',
    direction: 'out',
    result: 'scaled',
    message: null,
  } as const;
  const store = createDecisionStore(db.databases.appMetricsDb, tableNames('act'));
  await store.write([{ ...knowledgeOf({ leaseId, lastTrigger }), appId: 'app' }], []);
  const pauses = { coolDownUntilMs: null, ignoredOutUntilMs: null, ignoredInUntilMs: null };
  const known = async (changes: Partial<OwnersKnowledge>) => {
    const knowledge = knowledgeOf({ code: 'cooling-down', ...changes });
    const local = { leaseId: () => leaseId, knowledgeOf: () => knowledge, pausesOf: () => pauses };
    return (await reader({ local })('app')).knowledge;
  };
  expect(await known({})).toMatchObject({ code: 'cooling-down', lastTrigger });
  expect(await known({ policyTag: 'other' })).toMatchObject({ lastTrigger: null });
  const newer = { ...lastTrigger, atMs: 6 };
  expect(await known({ lastTrigger: newer })).toMatchObject({ lastTrigger: newer });
});

test('metric types that are too many to be read are missing', async () => {
  const rules = Array.from({ length: 52 }, (_, i) => when(`jobs${i} > 5`, '+1'));
  await insertPolicy(db.target.pool, 'app', policyOf(...rules));
  expect((await reader()('app')).missing).toEqual([
    'app metrics of 2 metric types: no more than 50 are read',
  ]);
});

test('the past is told from app metrics and changes of decisions', async () => {
  await insertPolicy(db.target.pool, 'app', policyOf(when('cpu > 80', '+1')));
  await insertValues('cpu', ['10', '90', '90', '90', '90', '90', '90', '90', '90', '90', '90', '90', '90']);
  const atMs = Date.now() - 15_000;
  const store = createDecisionStore(db.databases.appMetricsDb, tableNames('act'));
  const change = { appId: 'app', from: null, to: 'at-max', rule: 1, value: '90', text: 'so it was' } as const;
  await store.write(
    [],
    [
      { ...change, atMs: atMs - 5_000 },
      { ...change, appId: 'app', atMs: atMs + 5_000 },
    ].slice(0, 1),
  );
  const facts = await reader()('app', atMs);
  const recorded = { code: 'at-max', sinceMs: atMs - 5_000, text: 'so it was' };
  expect(facts).toMatchObject({ atMs, owner: null, pauses: null, knowledge: null, recorded });
  expect(explain(facts, settings)).toMatchObject({
    verdict: 'held',
    reasons: [{ code: 'at-max' }, { code: 'at-limit-backoff' }],
    rules: [{ newest: { value: 90n } }],
  });
  expect((await reader()('app', atMs - 10_000)).recorded).toBeNull();
  expect((await reader()('app')).recorded).toBeNull();
});

test('a metric type without any value for a day is doubtful', async () => {
  await insertPolicy(db.target.pool, 'app', policyOf(when('jobs > 5', '+1'), when('cpu > 80', '+1')));
  await insertValues('jobs', ['', ''], 86_400);
  await insertValues('jobs', ['', '']);
  await insertValues('cpu', ['', ''], 86_400);
  await insertValues('cpu', ['1', '']);
  const facts = await reader()('app');
  expect(facts.withoutValues).toEqual(['jobs']);
  expect(explain(facts, settings).doubts.map(({ code }) => code)).toContain('no-values');
  // What came after the time asked about says nothing of the day before.
  await insertValues('jobs', ['5'], 0);
  expect((await reader()('app')).withoutValues).toEqual([]);
  expect((await reader()('app', Date.now() - 500)).withoutValues).toEqual(['jobs']);
});

test('what cannot be read is missing, and the rest is told', async () => {
  await insertPolicy(db.target.pool, 'app', policyOf(when('cpu > 80', '+1')));
  await insertValues('cpu', ['90']);
  await db.target.pool.query('alter table eventgenerator_decision rename to away');
  try {
    const facts = await reader()('app');
    expect(facts.missing).toEqual([
      'what the owner decided: the table is missing; `eventgenerator migrate` creates it',
    ]);
    expect(facts.histories?.series('app', 'cpu')?.size).toBe(1);
  } finally {
    await db.target.pool.query('alter table away rename to eventgenerator_decision');
  }
  const dead = { query: () => Promise.reject(new Error('10.0.0.1:5432 refused')) } as never;
  const local = { leaseId: () => leaseId, knowledgeOf: () => null, pausesOf: () => ({}) as never };
  const facts = await reader({ appMetricsDb: dead, local })('app');
  expect(facts).toMatchObject({ histories: null, owner: null, pauses: null, knowledge: null });
  expect(facts.missing.join()).not.toContain('10.0.0.1');
  const refused = Object.assign(new Error('permission denied for table x'), { code: '42501' });
  const limited = { query: () => Promise.reject(refused) } as never;
  const { missing } = await reader({ appMetricsDb: limited, local })('app');
  expect(missing).toContain('what the owner decided: the database user has no right to read it');
});

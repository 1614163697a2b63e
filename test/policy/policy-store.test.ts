import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { maxPolicyBytes } from '../../src/policy/parse-policy.js';
import { createPolicyStore, type StoredPolicies, type StoredPolicy } from '../../src/policy/policy-store.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let target: TestDatabase;
let databases: Databases;
const none: StoredPolicies = new Map();

beforeEach(async () => {
  target = await createDatabase();
  databases = await openTestDatabases(target.url);
  await migrate(databases, { mode: 'act', all: true });
});
afterEach(async () => {
  await databases.close();
  await target.drop();
});

const store = () => createPolicyStore(databases.policyDb);
const put = (appId: string, policy: string | null, guid = `guid-${appId}`) =>
  target.pool.query(
    `insert into policy_json values ($1, $2, $3)
     on conflict (app_id) do update set policy_json = excluded.policy_json, guid = excluded.guid`,
    [appId, policy, guid],
  );
const policy = (threshold: bigint | number) =>
  `{"scaling_rules":[{"metric_type":"cpu","threshold":${threshold},"operator":">","adjustment":"+1"}]}`;
const thresholdOf = (stored: StoredPolicy | undefined) =>
  stored?.kind === 'usable' ? stored.policy.rules[0]?.threshold : stored?.problem;

test('an empty table is an empty answer', async () => {
  expect(await store().read(none)).toEqual(new Map());
});

test('reads what is there; a broken policy costs only its own app', async () => {
  await put('good', policy(2n ** 63n - 1n));
  await put('schedules', '{"schedules":{}}');
  await put('null', null);
  await put('list', '[]');
  await put('string', '"x"');
  const stored = await store().read(none);
  expect(thresholdOf(stored.get('good'))).toBe(2n ** 63n - 1n);
  expect(stored.get('schedules')).toMatchObject({ kind: 'usable', policy: { rules: [] } });
  expect(['null', 'list', 'string'].map((id) => thresholdOf(stored.get(id)))).toEqual([
    'it is NULL',
    'it is a list instead of an object',
    'it is a string instead of an object',
  ]);
});

test('policies that did not change are neither transferred nor parsed again', async () => {
  for (const id of ['same', 'text', 'guid', 'broken', 'gone'])
    await put(id, id === 'broken' ? '[]' : policy(1));
  const before = await store().read(none);
  await put('text', policy(2));
  await put('guid', policy(1), 'another guid');
  await put('new', policy(3));
  await target.pool.query("delete from policy_json where app_id = 'gone'");
  const transferred: unknown[] = [];
  const watched = createPolicyStore({
    async *stream<Row extends readonly unknown[]>(
      ...args: Parameters<typeof databases.policyDb.stream>
    ): AsyncGenerator<readonly Row[]> {
      for await (const rows of databases.policyDb.stream<Row>(...args)) {
        for (const [appId, , , text] of rows) if (text) transferred.push(appId);
        yield rows;
      }
    },
  });
  const after = await watched.read(before);
  expect([...after.keys()].sort()).toEqual(['broken', 'guid', 'new', 'same', 'text']);
  expect(transferred.sort()).toEqual(['guid', 'new', 'text']);
  expect(after.get('same')).toBe(before.get('same'));
  expect(after.get('broken')).toBe(before.get('broken'));
  expect(thresholdOf(after.get('text'))).toBe(2n);
  expect(after.get('guid')?.version).not.toBe(before.get('guid')?.version);
});

test('the text of a huge policy is not even transferred', async () => {
  await put('huge', `{"x":"${'y'.repeat(maxPolicyBytes)}"}`);
  const stored = await store().read(none);
  expect(stored.get('huge')).toMatchObject({
    kind: 'broken',
    problem: `it is ${maxPolicyBytes + 8} bytes long, more than ${maxPolicyBytes}`,
  });
});

test.each(['text', 'jsonb'])('the column may be of type %s', async (type) => {
  await target.pool.query(
    `alter table policy_json alter policy_json type ${type} using policy_json::text::${type}`,
  );
  await put('app', policy(7));
  if (type === 'text') await put('prose', 'scale a bit');
  const before = await store().read(none);
  expect(thresholdOf(before.get('app'))).toBe(7n);
  if (type === 'text') expect(thresholdOf(before.get('prose'))).toBe('it is no JSON');
  expect(await store().read(before)).toEqual(before);
});

test('several thousand policies are read in batches, and again in one look', async () => {
  await target.pool.query(
    "insert into policy_json select 'app-' || i, $1::json, 'guid' from generate_series(1, 3000) i",
    [policy(5)],
  );
  const before = await store().read(none);
  expect(before.size).toBe(3000);
  expect(await store().read(before)).toBe(before);
  await target.pool.query("delete from policy_json where app_id = 'app-7'");
  const after = await store().read(before);
  expect([...after].every(([appId, entry]) => before.get(appId) === entry)).toBe(true);
  expect(after.size).toBe(2999);
});

test('a table that cannot be read rejects', async () => {
  await target.pool.query('drop table policy_json');
  await expect(store().read(none)).rejects.toThrow('relation "policy_json" does not exist');
});

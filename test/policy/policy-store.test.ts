import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { maxPolicyBytes } from '../../src/policy/parse-policy.js';
import { listOf } from '../../src/policy/policy-index.js';
import {
  createPolicyStore,
  readPolicies,
  readPolicy,
  type StoredPolicy,
} from '../../src/policy/policy-store.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let target: TestDatabase;
let databases: Databases;

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

/** The policies of these apps, by app id. */
async function read(...appIds: string[]): Promise<Map<string, StoredPolicy>> {
  const found = new Map<string, StoredPolicy>();
  for await (const batch of store().policies(appIds)) {
    for (const { appId, stored } of batch) found.set(appId, stored);
  }
  return found;
}

/** What buckets tell: each app's stamp, by app id. All buckets, if none is named. */
async function stamps(numbers?: readonly number[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const digests = await store().digests();
  for await (const buckets of store().buckets(numbers ?? [...digests.keys()])) {
    for (const bucket of buckets) {
      if (!numbers) expect(bucket.digest).toBe(digests.get(bucket.number));
      const appIds = listOf<string>(bucket.appIds);
      for (const [i, stamp] of listOf<number>(bucket.stamps).entries()) found.set(appIds[i] ?? '', stamp);
    }
  }
  return found;
}

/** Numbers of the buckets that one set of digests has and the other has not, or has otherwise. */
function differing(a: ReadonlyMap<number, string>, b: ReadonlyMap<number, string>): number[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((number) => a.get(number) !== b.get(number));
}

test('an empty table has no buckets', async () => {
  expect(await store().digests()).toEqual(new Map());
  expect(await stamps([1, 2, 3])).toEqual(new Map());
});

test('reads what is there; a broken policy costs only its own app', async () => {
  await put('good', policy(2n ** 63n - 1n));
  await put('schedules', '{"schedules":{}}');
  await put('null', null);
  await put('list', '[]');
  await put('string', '"x"');
  const stored = await read('good', 'schedules', 'null', 'list', 'string', 'nobody');
  expect(stored.size).toBe(5);
  expect(thresholdOf(stored.get('good'))).toBe(2n ** 63n - 1n);
  expect(stored.get('schedules')).toMatchObject({ kind: 'usable', policy: { rules: [] } });
  expect(['null', 'list', 'string'].map((id) => thresholdOf(stored.get(id)))).toEqual([
    'it is NULL',
    'it is a list instead of an object',
    'it is a string instead of an object',
  ]);
});

test('whatever is done to a policy, its bucket differs, and no other', async () => {
  const ids = ['same', 'text', 'guid', 'gone', 'nothing'];
  for (const id of ids) await put(id, policy(1));
  const untouched = await store().digests();
  const before = await stamps();
  expect([...before.keys()].sort()).toEqual([...ids].sort());
  expect(await store().digests()).toEqual(untouched);

  const changes: [appId: string, change: () => Promise<unknown>][] = [
    ['text', () => put('text', policy(2))],
    ['guid', () => put('guid', policy(1), 'another guid')],
    ['new', () => put('new', policy(3))],
    ['gone', () => target.pool.query("delete from policy_json where app_id = 'gone'")],
  ];
  for (const [appId, change] of changes) {
    const was = await store().digests();
    await change();
    const [number, ...more] = differing(was, await store().digests());
    expect(more).toEqual([]);
    expect((await stamps([number ?? -1])).has(appId)).toBe(appId !== 'gone');
  }
  const after = await stamps();
  expect([...after.keys()].filter((appId) => after.get(appId) !== before.get(appId)).sort()).toEqual([
    'guid',
    'new',
    'text',
  ]);
});

test('a policy has the stamp that its bucket has for it, and a version that tells text and guid', async () => {
  await put('app', policy(1));
  const first = await readPolicy(databases.policyDb, 'app');
  expect(first?.stamp).toBe((await stamps()).get('app'));
  await put('app', policy(1));
  const again = await readPolicy(databases.policyDb, 'app');
  expect(again?.stamp).not.toBe(first?.stamp);
  expect(again?.stored.version).toBe(first?.stored.version);
  await put('app', policy(2));
  expect((await readPolicy(databases.policyDb, 'app'))?.stored.version).not.toBe(first?.stored.version);
});

test('an app id may have any characters', async () => {
  const ids = ['quo"te', 'back\\slash', 'líne\nbreak', '{a,b}'];
  for (const id of ids) await put(id, policy(1));
  expect([...(await stamps()).keys()].sort()).toEqual([...ids].sort());
  expect((await read(...ids)).size).toBe(ids.length);
});

test('the text of a huge policy is not even transferred', async () => {
  await put('huge', `{"x":"${'y'.repeat(maxPolicyBytes)}"}`);
  expect(await readPolicy(databases.policyDb, 'huge')).toMatchObject({
    text: null,
    stored: {
      kind: 'broken',
      problem: `it is ${maxPolicyBytes + 8} bytes long, more than ${maxPolicyBytes}`,
    },
  });
});

test.each(['text', 'jsonb'])('the column may be of type %s', async (type) => {
  await target.pool.query(
    `alter table policy_json alter policy_json type ${type} using policy_json::text::${type}`,
  );
  await put('app', policy(7));
  if (type === 'text') await put('prose', 'scale a bit');
  const stored = await read('app', 'prose');
  expect(thresholdOf(stored.get('app'))).toBe(7n);
  if (type === 'text') expect(thresholdOf(stored.get('prose'))).toBe('it is no JSON');
  expect((await stamps()).size).toBe(stored.size);
});

test('several thousand policies are read in batches', async () => {
  await target.pool.query(
    "insert into policy_json select 'app-' || i, $1::json, 'guid' from generate_series(1, 3000) i",
    [policy(5)],
  );
  const known = await stamps();
  expect(known.size).toBe(3000);
  expect((await read(...known.keys())).size).toBe(3000);
  const all: string[] = [];
  for await (const { appId, stamp } of readPolicies(databases.policyDb)) {
    expect(stamp).toBe(known.get(appId));
    all.push(appId);
  }
  expect(new Set(all).size).toBe(3000);
});

test('a table that cannot be read rejects', async () => {
  await target.pool.query('drop table policy_json');
  await expect(store().digests()).rejects.toThrow('relation "policy_json" does not exist');
  await expect(stamps([1])).rejects.toThrow('relation "policy_json" does not exist');
  await expect(read('app')).rejects.toThrow('relation "policy_json" does not exist');
});

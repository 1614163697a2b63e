import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createAutoscalerTables, insertPolicy } from './autoscaler-tables.js';
import { createDatabase, type TestDatabase } from './postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
});
afterAll(() => database.drop());

test('a policy is stored under its app, and a new one takes its place and has another guid', async () => {
  const rows = async () =>
    (
      await database.pool.query<{ app_id: string; policy: string | null; guid: string }>(
        'select app_id, policy_json::text as policy, guid from policy_json',
      )
    ).rows;
  await insertPolicy(database.pool, 'app', { scaling_rules: [] });
  const [first] = await rows();
  expect(first).toMatchObject({ app_id: 'app', policy: '{"scaling_rules":[]}' });
  await insertPolicy(database.pool, 'app', null);
  const [second] = await rows();
  expect(second).toMatchObject({ app_id: 'app', policy: null });
  expect(second?.guid).not.toBe(first?.guid);
});

test('app metrics are appended, also twice the same', async () => {
  const insert = `insert into app_metric (app_id, metric_type, unit, timestamp, value) values ('app', 'cpu', '%', 1, '5')`;
  await database.pool.query(insert);
  await database.pool.query(insert);
  expect((await database.pool.query('select 1 from app_metric')).rowCount).toBe(2);
});

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Databases } from '../../src/database/database.js';
import { createPolicySurvey } from '../../src/decisions/policy-survey.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import { openTestDatabases } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let target: TestDatabase;
let databases: Databases;
beforeEach(async () => {
  target = await createDatabase();
  await createAutoscalerTables(target.pool);
  databases = await openTestDatabases(target.url);
});
afterEach(async () => {
  await databases.close();
  await target.drop();
});

async function insert(appIds: string, policy: string | null): Promise<void> {
  await target.pool.query(`insert into policy_json select id, $1, 'guid' from ${appIds} as id`, [policy]);
}

test('all apps that nobody evaluates are counted, and ten thousand of each reason named', async () => {
  await insert(`(select 'broken-' || i from generate_series(1, 10050) i)`, null);
  await insert(`unnest(array['schedules-only'])`, '{"schedules":{}}');
  const found = await createPolicySurvey(databases.policyDb, new ManualClock())();
  expect(found['policy-broken'].apps).toBe(10_050);
  expect(found['policy-broken'].problems.size).toBe(10_000);
  expect([...found['no-rules'].problems]).toEqual([['schedules-only', '']]);
});

test('a survey serves half a minute, and one that failed nobody else', async () => {
  const clock = new ManualClock();
  const survey = createPolicySurvey(databases.policyDb, clock);
  await target.pool.query('alter table policy_json rename to elsewhere');
  await expect(survey()).rejects.toThrow('relation "policy_json" does not exist');
  await target.pool.query('alter table elsewhere rename to policy_json');
  expect((await survey())['policy-broken'].apps).toBe(0);
  await insert(`unnest(array['broken'])`, null);
  expect((await survey())['policy-broken'].apps).toBe(0);
  await clock.advance(30_000);
  expect((await survey())['policy-broken'].apps).toBe(1);
});

import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { lintAllCommand } from '../../src/cli/lint-command.js';
import type { Config } from '../../src/config/config.js';
import { createDecisionDatabase, type DecisionDatabase } from '../decisions/database.js';
import { settings } from '../evaluation/examples.js';
import { policyOf, when } from '../pipeline/policies.js';
import { insertPolicy } from '../support/autoscaler-tables.js';
import { databaseConfig } from '../support/database-config.js';

let db: DecisionDatabase;
beforeAll(async () => {
  db = await createDecisionDatabase();
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(() => db.close());

/** Exit code and lines. */
async function lintAll(): Promise<[number, string[]]> {
  const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const database = databaseConfig(db.target.url);
  const config = { policyDb: database, appMetricsDb: database, evaluator: { mode: 'act' } } as Config;
  const code = await lintAllCommand(config, {}, settings);
  const text = written.mock.calls.map(([chunk]) => String(chunk)).join('');
  written.mockRestore();
  return [code, text.trimEnd().split('\n')];
}

async function insertJobs(appId: string, agoHours: number, value: string): Promise<void> {
  await db.target.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     values ($1, 'jobs', '', (extract(epoch from now() - $2 * interval '1 hour') * 1e9)::bigint, $3)`,
    [appId, agoHours, value],
  );
}

test('all policies are looked at, also whether there are values for their rules', async () => {
  const { pool } = db.target;
  await insertPolicy(pool, 'fine', policyOf(when('jobs > 5', '+1')));
  await insertJobs('fine', 24, '');
  await insertJobs('fine', 1, '7');
  expect(await lintAll()).toEqual([0, ['0 of 1 policies are doubtful']]);

  const broken = 'broken: the policy cannot be used: it is a list instead of an object';
  await insertPolicy(pool, 'broken', []);
  await insertPolicy(pool, 'silent', policyOf(when('jobs > 5', '+1'), when('cpu > 80', '+1')));
  await insertJobs('silent', 24, '');
  await insertJobs('silent', 1, '');
  expect(await lintAll()).toEqual([
    1,
    [broken, 'silent: jobs has had no value for a day', '2 of 3 policies are doubtful'],
  ]);

  await pool.query('alter table app_metric rename to away');
  expect(await lintAll()).toEqual([1, [broken, expect.stringMatching(/^failed to read the app metrics: /)]]);
});

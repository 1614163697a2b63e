import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDecisionDatabase, type DecisionDatabase } from '../decisions/database.js';
import { startProcess } from '../pipeline/process.js';
import { policyOf, when } from '../pipeline/policies.js';
import { insertPolicy } from '../support/autoscaler-tables.js';
import { startPeers } from '../support/peers.js';
import { intervalSecs, writeCommandConfig } from './command-config.js';

/*
 * The program as an operator runs it, with a configuration file, and without asking any member: causes that the databases alone
 * tell of.
 */

const scaleOut = policyOf(when('cpu > 80', '+1'));

let db: DecisionDatabase;
let config: Awaited<ReturnType<typeof writeCommandConfig>>;
beforeAll(async () => {
  db = await createDecisionDatabase();
  config = await writeCommandConfig(db.target.url);
});
afterAll(async () => {
  await config.remove();
  await db.close();
});

async function run(...args: string[]): Promise<string> {
  const command = startProcess([...args, '-c', config.file]);
  const code = await command.ended;
  const output = command.output.join('\n');
  expect([code, command.errors(), output]).toEqual([0, '', output]);
  return output;
}

/** Does the work while there is a member that renews its lease. */
async function withMember<T>(work: () => Promise<T>): Promise<T> {
  const { pool } = db.target;
  const peers = await startPeers(pool, 1);
  try {
    return await work();
  } finally {
    await peers.stop();
    await pool.query('delete from eventgenerator_member');
  }
}

/** So many values of cpu, an interval apart, the newest a moment ago. */
async function insertCpu(appId: string, values: readonly number[]): Promise<void> {
  await db.target.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select $1, 'cpu', '%', ((extract(epoch from now()) - 1 - $2::int * (n - 1)) * 1e9)::bigint, value::text
     from unnest($3::int[]) with ordinality as v (value, n)`,
    [appId, intervalSecs, values],
  );
}

async function insertTrigger(appId: string, column: string): Promise<void> {
  await db.target.pool.query(
    `insert into eventgenerator_trigger (app_id, posted_at, posted_by, ${column})
     values ($1, now() - interval '70 seconds', gen_random_uuid(), now() + interval '10 minutes')`,
    [appId],
  );
}

test('a broken policy', async () => {
  await insertPolicy(db.target.pool, 'broken', { scaling_rules: 'none' });
  expect(await run('explain', 'broken')).toMatch(
    /verdict +NOT-EVALUATED +policy-broken\n +The policy cannot be used: /,
  );
  expect(await run('decisions', '--reason', 'policy-broken')).toMatch(/^APP .*\nbroken /);
});

test('too few app metrics', async () => {
  await insertPolicy(db.target.pool, 'young', scaleOut);
  await insertCpu('young', [95]);
  const text = await withMember(() => run('explain', 'young'));
  expect(text).toMatch(
    /verdict +NOT-FIRED +not-enough-samples\n +Rule 1 .* cannot fire yet: 1 of 2 app metrics/,
  );
  expect(text).toMatch(/rule 1 .* not-enough-samples; 1 of 1 app metrics in breach, 2 needed/);
});

test('a cool-down', async () => {
  await insertPolicy(db.target.pool, 'cool', scaleOut);
  await insertCpu('cool', [95, 95, 95, 95, 95, 95, 95]);
  await insertTrigger('cool', 'cool_down_until');
  expect(await withMember(() => run('explain', 'cool'))).toMatch(
    /verdict +HELD +cooling-down\n +The app cools down until \d/,
  );
});

test('an app at its maximum', async () => {
  await insertPolicy(db.target.pool, 'full', scaleOut);
  await insertCpu('full', [95, 95, 95, 95, 95, 95, 95]);
  await insertTrigger('full', 'ignored_out_until');
  expect(await withMember(() => run('explain', 'full'))).toMatch(
    /verdict +HELD +at-max, at-limit-backoff\n.*the app is at its maximum of 10 instances, not started, or its scaling is disabled; next try at \d/,
  );
});

test('no member lives: that is said first, and what the databases tell all the same', async () => {
  await insertPolicy(db.target.pool, 'left-alone', scaleOut);
  await insertTrigger('left-alone', 'cool_down_until');
  const text = await run('explain', 'left-alone');
  expect(text).toMatch(
    /owner +nobody\nverdict +HELD +not-owned, cooling-down\n +No living member owns the app/,
  );
  expect(text).toMatch(/\n +The app cools down until \d/);
});

test('an app without a policy', async () => {
  expect(await run('explain', 'nobody')).toMatch(/NOT-EVALUATED +no-policy\n +The app has no policy\./);
});

test('a time in the future, of which nothing is known', async () => {
  const command = startProcess(['explain', 'young', '--at', '2999-01-01T00:00Z', '-c', config.file]);
  expect(await command.ended).toBe(2);
  expect(command.output[0]).toBe("--at '2999-01-01T00:00:00.000Z' is in the future");
});

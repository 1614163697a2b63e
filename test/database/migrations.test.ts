import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '../../src/util/clock.js';
import { openDatabases, type Databases } from '../../src/database/database.js';
import { dropObserversTables, migrate, ownTablesSql } from '../../src/database/migrations.js';
import { tableNames, type TableNames } from '../../src/database/table-names.js';
import { silentLogger } from '../support/silent-logger.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

const deps = { clock: systemClock, logger: silentLogger, trustedRoots: noRoots };
let target: TestDatabase;
let databases: Databases;

beforeEach(async () => {
  target = await createDatabase();
  const config = databaseConfig(target.url);
  databases = await openDatabases(config, config, deps);
});
afterEach(async () => {
  await databases.close();
  await target.drop();
});

async function columns(table: string): Promise<string[]> {
  const { rows } = await target.pool.query<{ column: string }>(
    `select concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable) as column
     from information_schema.columns where table_name = $1 order by ordinal_position`,
    [table],
  );
  return rows.map((row) => row.column);
}

test('creates our own tables only, once', async () => {
  expect(await migrate(databases, { mode: 'act', all: false })).toEqual([
    'eventgenerator_member',
    'eventgenerator_trigger',
    'eventgenerator_decision',
    'eventgenerator_decision_change',
  ]);
  expect(await migrate(databases, { mode: 'act', all: false })).toEqual([]);
  expect(await columns('policy_json')).toEqual([]);
  expect(await columns('app_metric')).toEqual([]);
});

test("with all, the shared tables are exactly the autoscaler's", async () => {
  expect(await migrate(databases, { mode: 'act', all: true })).toEqual([
    'policy_json',
    'app_metric',
    'eventgenerator_member',
    'eventgenerator_trigger',
    'eventgenerator_decision',
    'eventgenerator_decision_change',
  ]);
  expect(await columns('policy_json')).toEqual([
    'app_id character varying 50 NO',
    'policy_json json YES',
    'guid character varying 50 NO',
  ]);
  expect(await columns('app_metric')).toEqual([
    'app_id character varying 255 NO',
    'metric_type character varying 100 NO',
    'unit character varying 20 NO',
    'timestamp bigint NO',
    'value character varying YES',
  ]);
  const { rows } = await target.pool.query<{ indexdef: string }>(
    "select indexdef from pg_indexes where tablename = 'app_metric'",
  );
  expect(rows.map((row) => row.indexdef)).toEqual([
    'CREATE INDEX index_app_metrics ON public.app_metric USING btree (app_id, metric_type, "timestamp")',
  ]);
});

const observersTables = [
  'eventgenerator_observed',
  'eventgenerator_observer_member',
  'eventgenerator_observer_trigger',
  'eventgenerator_observer_decision',
  'eventgenerator_observer_decision_change',
];

test('observers have tables of their own, in the form of those that they stand for', async () => {
  await migrate(databases, { mode: 'act', all: true });
  expect(await migrate(databases, { mode: 'observe', all: false })).toEqual(observersTables);
  expect(await migrate(databases, { mode: 'observe', all: false })).toEqual([]);
  const [acting, observing] = [tableNames('act'), tableNames('observe')];
  for (const which of Object.keys(acting) as (keyof TableNames)[]) {
    expect(await columns(observing[which])).toEqual(await columns(acting[which]));
  }
});

test('the tables of observers are removed without a trace, and nothing else is', async () => {
  await migrate(databases, { mode: 'act', all: true });
  const relations = async () => {
    const { rows } = await target.pool.query<{ relname: string }>(
      `select relname from pg_class where relnamespace = 'public'::regnamespace order by 1`,
    );
    return rows;
  };
  const before = await relations();
  await migrate(databases, { mode: 'observe', all: false });
  expect(await dropObserversTables(databases.appMetricsDb)).toEqual(observersTables);
  expect(await relations()).toEqual(before);
  expect(await dropObserversTables(databases.appMetricsDb)).toEqual([]);
});

test('several members may migrate at the same time', async () => {
  const created = await Promise.all(
    Array.from({ length: 4 }, () => migrate(databases, { mode: 'act', all: true })),
  );
  expect(created.flat()).toHaveLength(6);
});

test('the SQL for operators makes the same tables, and then no right to create is needed', async () => {
  await target.pool.query(ownTablesSql('act'));
  await target.pool.query(ownTablesSql('act'));
  const user = `limited_${Date.now()}`;
  await target.pool.query(`revoke create on schema public from public; create user ${user}`);
  const url = new URL(target.url);
  url.username = user;
  const limited = await openDatabases(databaseConfig(url.href), databaseConfig(url.href), deps);
  try {
    expect(await migrate(limited, { mode: 'act', all: false })).toEqual([]);
    await expect(migrate(limited, { mode: 'act', all: true })).rejects.toThrow(
      'permission denied for schema public',
    );
  } finally {
    await limited.close();
    await target.pool.query(`drop user ${user}`);
  }
});

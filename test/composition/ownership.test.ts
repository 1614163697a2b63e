import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '../../src/clock.js';
import { openOwnership } from '../../src/composition/ownership.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { createReleasers, type Releasers } from '../../src/releasers.js';
import { databaseConfig } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';

/* Elastic ownership where the eventgenerator's database user may not create tables. */

const staticNumbers = { totalInstances: 3, instanceIndex: 1 };

let database: TestDatabase;
let user: string;
let log: Recording;
let releasers: Releasers;

beforeEach(async () => {
  database = await createDatabase();
  user = `limited "${Date.now()}"`;
  await database.pool.query('revoke create on schema public from public');
  await database.pool.query(`create user ${quoted(user)}`);
  log = recordingLogger();
  releasers = createReleasers(log.logger);
});
afterEach(async () => {
  await releasers.releaseAll();
  await database.pool.query(`drop owned by ${quoted(user)}; drop user ${quoted(user)}`);
  await database.drop();
});

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function open(fallback: typeof staticNumbers | null) {
  const url = new URL(database.url);
  url.username = encodeURIComponent(user);
  const config = {
    pool: { mode: 'elastic' as const, static: fallback },
    appMetricsDb: databaseConfig(url.href),
    evaluator: { evaluationIntervalMs: 40_000 },
    instance: { guid: 'instance', index: 0 },
  };
  const surroundings = { clock: systemClock, logger: log.logger, metrics: createMetrics(), trust: {} };
  return openOwnership(config, surroundings, releasers, () => 0);
}

async function loggedSql(): Promise<string> {
  const { data } = await log.until('ownership.tables-missing');
  return String(data['sql']);
}

test('shares statically where static numbers are configured, and logs the SQL to run', async () => {
  const parts = await open(staticNumbers);
  expect(parts.readMembers).toBeNull();
  expect(parts.ownership.isUp()).toBe(true);
  expect(log.lines.filter(({ level }) => level === 'error')).toMatchObject([
    {
      event: 'ownership.tables-missing',
      message: expect.stringContaining('permission denied for schema public'),
      data: { remedy: expect.any(String), sql: expect.stringContaining('create table') },
    },
  ]);
  expect(log.lines.at(-1)).toEqual({ level: 'info', event: 'ownership.static-instead', data: staticNumbers });
});

test('does not start where there are no static numbers either, and names both remedies', async () => {
  await expect(open(null)).rejects.toThrow(/run the SQL that was logged, or configure pool\.mode: static/);
});

test('is elastic after a restart when somebody has run the logged SQL', async () => {
  await open(staticNumbers);
  await database.pool.query(await loggedSql());
  const parts = await open(staticNumbers);
  expect(await parts.readMembers?.()).toEqual([]);
  parts.start();
  await log.until('ownership.member');
  await parts.leave();
});

test('shares statically where the tables are there but not the rights to them, and logs the SQL to run', async () => {
  await open(staticNumbers);
  const [tables = '', grants] = (await loggedSql()).split('grant');
  expect(grants).toContain(quoted(user));
  await database.pool.query(tables);
  const again = log.lines.length;
  expect((await open(staticNumbers)).readMembers).toBeNull();
  const line = await log.until('ownership.tables-missing', () => true, again);
  expect(line.message).toContain('has no right to use them');
  expect(line.data['sql']).toContain('grant select, insert, update, delete on eventgenerator_member');
});

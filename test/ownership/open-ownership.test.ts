import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Mode } from '../../src/config/config.js';
import { systemClock } from '../../src/util/clock.js';
import { openOwnership } from '../../src/ownership/open-ownership.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { createReleasers, type Releasers } from '../../src/util/releasers.js';
import { databaseConfig } from '../support/database-config.js';
import { eventually } from '../support/eventually.js';
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

function open(fallback: typeof staticNumbers | null, mode: Mode = 'act') {
  const url = new URL(database.url);
  url.username = encodeURIComponent(user);
  const config = {
    pool: { mode: 'elastic' as const, static: fallback },
    appMetricsDb: databaseConfig(url.href),
    evaluator: { mode, observedRetentionMs: 0, evaluationIntervalMs: 40_000 },
    instance: { guid: 'instance', index: 0 },
  };
  const context = { clock: systemClock, logger: log.logger, metrics: createMetrics(), trust: {} };
  return openOwnership(config, context, releasers, () => 0);
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

test('an observer takes every app then: it posts nothing', async () => {
  const parts = await open(null, 'observe');
  expect([parts.readMembers, parts.ownership.owns('any')]).toEqual([null, true]);
  const { data } = await log.until('ownership.tables-missing');
  expect(data['sql']).toContain('eventgenerator_observer_member');
});

test('observers and acting members do not see each other', async () => {
  await database.pool.query('grant create on schema public to public');
  const parts = [await open(null, 'act'), await open(null, 'observe')];
  for (const part of parts) part.start();
  await eventually('two members', async () => {
    const members = await Promise.all(parts.map(async ({ readMembers }) => (await readMembers?.()) ?? []));
    return (
      members.every(({ length }) => length === 1) && parts.every(({ ownership }) => ownership.owns('any'))
    );
  });
  const claims = await Promise.all(parts.map(({ claims }) => claims.claim('app', 'out')));
  expect(claims).toEqual([{ granted: true }, { granted: true }]);
  await Promise.all(parts.map((part) => part.leave()));
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

/* A rolling deployment after the SQL was run: old processes are static yet, new ones elastic. */
test('who shares statically until its restart and who shares by leases post once for an app', async () => {
  const old = await open(staticNumbers);
  expect(await old.claims.claim('app', 'out')).toEqual({ granted: true });
  await old.claims.complete('app', 'out', { coolDownUntilMs: Date.now() + 60_000, ignoredUntilMs: null });
  expect(log.lines.filter(({ event }) => event.startsWith('claims.'))).toEqual([]);

  await database.pool.query(await loggedSql());
  const young = await open(staticNumbers);
  young.start();
  await log.until('ownership.member');
  expect(await young.claims.claim('app', 'out')).toEqual({ granted: true });
  expect(await old.claims.claim('app', 'out')).toMatchObject({ granted: false, reason: 'posted-elsewhere' });
  await young.claims.complete('app', 'out', { coolDownUntilMs: null, ignoredUntilMs: null });
  expect(await old.claims.claim('other', 'in')).toEqual({ granted: true });
  await old.claims.complete('other', 'in', { coolDownUntilMs: Date.now() + 60_000, ignoredUntilMs: null });
  expect(await young.claims.claim('other', 'out')).toMatchObject({ granted: false, reason: 'cooling-down' });
  expect(log.lines.filter(({ event }) => event === 'ownership.static-beside-tables')).toMatchObject([
    { level: 'error', data: { remedy: expect.stringContaining('restart') } },
  ]);
  await young.leave();
});

test('while the tables are refused, a database that is away keeps nobody from posting', async () => {
  const parts = await open(staticNumbers);
  await database.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = $1`, [
    user,
  ]);
  await database.pool.query(`alter user ${quoted(user)} nologin`);
  expect(await parts.claims.claim('app', 'out')).toEqual({ granted: true });
});

/** Resolves when the member has a lease that it did not have when the test began to look. */
async function memberAgain(): Promise<void> {
  const from = log.lines.length;
  await log.until('ownership.member', () => true, from);
}

test('tables that vanish are created again where this user may, and the members go on', async () => {
  await database.pool.query('grant create on schema public to public');
  const parts = await open(null);
  parts.start();
  await log.until('ownership.member');
  const again = memberAgain();
  await database.pool.query('drop table eventgenerator_member, eventgenerator_trigger');
  await again;
  expect(log.lines.filter(({ event }) => event === 'ownership.tables-created')).toHaveLength(2);
  expect(await parts.claims.claim('app', 'out')).toEqual({ granted: true });
  await parts.leave();
});

test('a table of posts that vanishes is created again when a trigger is to be posted', async () => {
  await database.pool.query('grant create on schema public to public');
  const parts = await open(null);
  parts.start();
  await log.until('ownership.member');
  const from = log.lines.length;
  await database.pool.query('drop table eventgenerator_trigger');
  expect(await parts.claims.claim('app', 'out')).toEqual({ granted: true });
  await log.until('ownership.tables-created', () => true, from);
  await parts.leave();
});

test.each([
  ['tables vanish', 'drop table eventgenerator_member, eventgenerator_trigger'],
  ['rights are taken away', 'revoke all on eventgenerator_member, eventgenerator_trigger from %user'],
])(
  'where %s and this user may not mend it the SQL is logged, and no restart is needed',
  async (_what, harm) => {
    await open(staticNumbers);
    await database.pool.query(await loggedSql());
    const parts = await open(null);
    parts.start();
    await log.until('ownership.member');
    const from = log.lines.length;
    await database.pool.query(harm.replace('%user', quoted(user)));
    const { data } = await log.until('ownership.tables-missing', () => true, from);
    expect(data['remedy']).toContain('no restart is needed');
    await database.pool.query(String(data['sql']));
    await eventually('a claim', async () => (await parts.claims.claim('app', 'out')).granted);
    await parts.leave();
  },
);

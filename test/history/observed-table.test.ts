import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDatabases, type Databases } from '../../src/database/database.js';
import { tableNames } from '../../src/database/table-names.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import { createAppMetricStore } from '../../src/history/app-metric-store.js';
import { ObservedTable } from '../../src/history/observed-table.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { silentLogger } from '../support/silent-logger.js';
import { msToNs, systemClock } from '../../src/util/clock.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';

const hourMs = 3_600_000;

let target: TestDatabase;
let clock: ManualClock;
let log: Recording;
let undo: (() => Promise<unknown>)[];

beforeEach(async () => {
  target = await createDatabase();
  clock = new ManualClock(1_764_000_000_000);
  log = recordingLogger();
  undo = [() => target.drop()];
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function openTable(user?: string): Promise<ObservedTable> {
  const url = new URL(target.url);
  if (user !== undefined) url.username = user;
  const config = databaseConfig(url.href);
  const options = { clock: systemClock, logger: silentLogger, trustedRoots: noRoots };
  const databases: Databases = await openDatabases(config, config, options);
  undo.push(() => databases.close());
  const database = databases.appMetricsDb;
  const table = new ObservedTable({
    ...{ clock, logger: log.logger, metrics: createMetrics(), trust: {}, database },
    store: createAppMetricStore(database, tableNames('observe')),
    retentionMs: 48 * hourMs,
  });
  undo.push(() => table.stop());
  return table;
}

function metric(ageMs: number, value = 7n): AppMetric {
  return { appId: 'app', metricType: 'cpu', value, unit: '%', timestampNs: msToNs(clock.now() - ageMs) };
}

async function stored(): Promise<number[]> {
  const { rows } = await target.pool.query<{ timestamp: string }>(
    'select timestamp from eventgenerator_observed order by timestamp desc',
  );
  return rows.map(({ timestamp }) => clock.now() - Number(BigInt(timestamp) / 1_000_000n));
}

async function read(table: ObservedTable): Promise<AppMetric[]> {
  const found: AppMetric[] = [];
  for await (const batch of table.readRecent([{ appId: 'app', metricType: 'cpu', sinceNs: 0n }])) {
    found.push(...batch);
  }
  return found;
}

test('is created when it is first used, and gives back what was written', async () => {
  const table = await openTable();
  expect(await read(table)).toEqual([]);
  await table.insert([metric(0)]);
  expect(await read(table)).toEqual([metric(0)]);
  const query = {
    appId: 'app',
    metricType: 'cpu',
    startNs: 0n,
    endNs: msToNs(clock.now()),
    order: 'ASC',
  } as const;
  for await (const batch of table.stream(query)) expect(batch).toEqual([metric(0)]);
  expect(log.lines.map(({ event, data }) => [event, data])).toEqual([
    ['observed.tables-created', { tables: ['eventgenerator_observed'] }],
  ]);
});

test('is created again when it has vanished', async () => {
  const table = await openTable();
  await table.insert([metric(0)]);
  await target.pool.query('drop table eventgenerator_observed');
  await expect(table.insert([metric(0)])).rejects.toThrow('does not exist');
  await table.insert([metric(0)]);
  expect(await stored()).toEqual([0]);
});

test('loses what is older than the retention, and nothing else, however much that is', async () => {
  const table = await openTable();
  await table.insert([metric(0), metric(47 * hourMs), metric(48 * hourMs)]);
  await target.pool.query(
    `insert into eventgenerator_observed select 'app', 'cpu', '%', n, '1' from generate_series(1, 25000) n`,
  );
  table.start();
  await clock.advance(60_000);
  await eventually('old rows removed', async () => (await stored()).length === 2);
  expect(await stored()).toEqual([60_000, 47 * hourMs + 60_000]);
});

test('an observer whose clock is a year ahead removes nothing that is young by the clock of the database', async () => {
  const table = await openTable();
  const youngNs = msToNs(Date.now() - 47 * hourMs);
  await table.insert([
    { ...metric(0), timestampNs: youngNs },
    { ...metric(0), timestampNs: youngNs - msToNs(2 * hourMs) },
  ]);
  await clock.advance(Date.now() + 365 * 24 * hourMs - clock.now());
  table.start();
  await clock.advance(60_000);
  await eventually('old rows removed', async () => (await stored()).length === 1);
  expect((await read(table)).map(({ timestampNs }) => timestampNs)).toEqual([youngNs]);
});

test('where it may not be created writes fail, reads find nothing, and the log says which SQL to run', async () => {
  const user = `limited_${Date.now()}`;
  await target.pool.query(`revoke create on schema public from public; create user ${user}`);
  undo.push(() => target.pool.query(`drop owned by ${user}; drop user ${user}`));
  const table = await openTable(user);
  expect(await read(table)).toEqual([]);
  await expect(table.insert([metric(0)])).rejects.toThrow('missing, or may not be used');
  const [line, ...others] = log.lines;
  expect([line?.event, others]).toEqual(['observed.tables-missing', []]);
  await target.pool.query(String(line?.data['sql']));
  await table.insert([metric(0)]);
  expect(await read(table)).toEqual([metric(0)]);
});

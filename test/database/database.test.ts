import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { systemClock } from '../../src/util/clock.js';
import { openDatabases, type Database, type Databases } from '../../src/database/database.js';
import { databaseFailureKind, isTransient } from '../../src/database/errors.js';
import { registerPoolMetrics } from '../../src/database/pool-metrics.js';
import { eventually } from '../support/eventually.js';
import { silentLogger } from '../support/silent-logger.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import { createDatabase, startPostgres, type TestDatabase } from '../support/postgres.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { backendsAtOnce } from './backends.js';

const deps = { clock: systemClock, logger: silentLogger, trustedRoots: noRoots };
const second = { timeoutMs: 5_000 };
let target: TestDatabase;
const opened: Databases[] = [];
const proxies: TcpProxy[] = [];

beforeAll(async () => {
  target = await createDatabase();
});
afterEach(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  await Promise.all(opened.splice(0).map((databases) => databases.close()));
});
afterAll(() => target.drop());

async function open(url: string, changes: Parameters<typeof databaseConfig>[1] = {}): Promise<Databases> {
  const config = databaseConfig(url, changes);
  const databases = await openDatabases(config, config, deps);
  opened.push(databases);
  return databases;
}

async function openThroughProxy(
  changes: Parameters<typeof databaseConfig>[1] = {},
): Promise<{ database: Database; proxy: TcpProxy }> {
  const url = new URL(target.url);
  const proxy = await startTcpProxy(Number(url.port), url.hostname);
  proxies.push(proxy);
  url.host = `127.0.0.1:${proxy.port}`;
  const databases = await open(`${url.href}?sslmode=disable`, changes);
  return { database: databases.policyDb, proxy };
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  let failed: unknown;
  await promise.catch((error: unknown) => (failed = error));
  if (failed === undefined) throw new Error('did not fail');
  return failed as Error; // `instanceof` does not hold for errors of Node's own inside jest
}

async function collect<Row extends readonly unknown[]>(rows: AsyncIterable<readonly Row[]>): Promise<Row[]> {
  const all: Row[] = [];
  for await (const batch of rows) all.push(...batch);
  return all;
}

/** Resolves when no statement of this text runs in the server any more. */
async function serverIsQuiet(text: string): Promise<void> {
  for (;;) {
    const { rows } = await target.pool.query(
      "select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like $1",
      [`%${text}%`],
    );
    if (rows.length === 0) return;
  }
}

describe('statements', () => {
  test('return rows and counts; bigint stays exact', async () => {
    const { policyDb } = await open(target.url);
    const result = await policyDb.query<{ big: string }>(
      'select $1::bigint as big',
      [9223372036854775807n],
      second,
    );
    expect(result).toEqual({ rows: [{ big: '9223372036854775807' }], rowCount: 1 });
  });

  test('a failed statement gives its connection back', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    const error = await failure(policyDb.query('select 1 / $1::int', [0], second));
    expect([databaseFailureKind(error), isTransient(error)]).toEqual(['data', false]);
    await policyDb.query('select 1', [], second);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, inUse: 0, idle: 1 });
  });

  test('a statement that takes too long is given up and stopped in the server', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    await policyDb.query('select 1', [], second);
    const error = await failure(policyDb.query("select pg_sleep(60), 'given up'", [], { timeoutMs: 100 }));
    expect(error.message).toBe('policy_db did not answer within 100 ms');
    expect(isTransient(error)).toBe(true);
    await serverIsQuiet('given up');
    await policyDb.query('select 1', [], second);
  });

  test('the deadline covers the wait for a connection', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    await policyDb.transaction(async (session) => {
      await session.query('select 1');
      const error = await failure(policyDb.query('select 1', [], { timeoutMs: 50 }));
      expect(error.message).toMatch(/did not answer within 50 ms/);
    }, second);
    await policyDb.query('select 1', [], second);
    expect(policyDb.stats()).toMatchObject({ waitCount: 1, inUse: 0 });
    expect(policyDb.stats().waitDurationMs).toBeGreaterThan(0);
  });

  test('nothing listens: the message names database, address and reason', async () => {
    const proxy = await startTcpProxy(1);
    await proxy.close();
    const { policyDb } = await open(`postgres://u:geheim@127.0.0.1:${proxy.port}/db`);
    const error = await failure(policyDb.query('select 1', [], second));
    expect(error.message).toBe(
      `policy_db: no connection to 127.0.0.1:${proxy.port}: connect ECONNREFUSED 127.0.0.1:${proxy.port}`,
    );
    expect(isTransient(error)).toBe(true);
  });
});

describe('kinds of failures', () => {
  test.each([
    ["insert into nowhere values ('x')", 'statement'],
    ['select wrong syntax', 'statement'],
    ["select 'x'::bigint", 'data'],
    ["select convert_from('\\xff', 'UTF8')", 'data'],
    ['select pg_terminate_backend(pg_backend_pid())', 'connection'],
    ["do $$ begin raise exception 'full' using errcode = '53100'; end $$", 'connection'],
  ])('%s: %s', async (sql, kind) => {
    const { policyDb } = await open(target.url);
    expect(databaseFailureKind(await failure(policyDb.query(sql, [], second)))).toBe(kind);
    await policyDb.query('select 1', [], second);
  });
});

describe('streams', () => {
  test('return all rows in batches', async () => {
    const { policyDb } = await open(target.url);
    const sizes: number[] = [];
    let sum = 0;
    for await (const batch of policyDb.stream<[number]>(
      'select i from generate_series(1, $1::int) i',
      [2500],
      {
        batchSize: 1000,
        ...second,
      },
    )) {
      sizes.push(batch.length);
      for (const [i] of batch) sum += i;
    }
    expect([sizes, sum]).toEqual([[1000, 1000, 500], 3126250]);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, inUse: 0 });
  });

  test('an exact multiple of the batch, and no row at all, end as well', async () => {
    const { policyDb } = await open(target.url);
    const options = { batchSize: 10, ...second };
    expect(await collect(policyDb.stream('select generate_series(1, 20)', [], options))).toHaveLength(20);
    expect(await collect(policyDb.stream('select 1 where false', [], options))).toEqual([]);
  });

  test('a consumer that stops early gives the connection back', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    for await (const batch of policyDb.stream('select generate_series(1, 1000000)', [], {
      batchSize: 10,
      ...second,
    })) {
      expect(batch).toHaveLength(10);
      break;
    }
    await policyDb.query('select 1', [], second);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, inUse: 0 });
  });

  test('a consumer that throws does so too', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    const options = { batchSize: 10, ...second };
    const reading = (async () => {
      for await (const batch of policyDb.stream('select generate_series(1, 1000)', [], options)) {
        throw new Error(`enough after ${batch.length}`);
      }
    })();
    await expect(reading).rejects.toThrow('enough after 10');
    await policyDb.query('select 1', [], second);
    expect(policyDb.stats().inUse).toBe(0);
  });

  test('a consumer that never comes back loses its connection', async () => {
    const clock = new ManualClock();
    const config = databaseConfig(target.url);
    const databases = await openDatabases(config, config, { ...deps, clock });
    opened.push(databases);
    const rows = databases.policyDb.stream('select generate_series(1, 100)', [], { batchSize: 1, ...second });
    const iterator = rows[Symbol.asyncIterator]();
    await iterator.next();
    expect(databases.policyDb.stats().inUse).toBe(1);
    await clock.advance(30_000);
    expect(databases.policyDb.stats().openConnections).toBe(0);
    expect((await failure(iterator.next())).message).toBe(
      'policy_db: the rows were not fetched for 30000 ms',
    );
  });

  test('a failure in the middle rejects instead of ending the rows', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    const rows = policyDb.stream('select 1 / (1500 - i) from generate_series(1, 3000) i', [], {
      batchSize: 1000,
      ...second,
    });
    await expect(collect(rows)).rejects.toThrow('division by zero');
    await policyDb.query('select 1', [], second);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, inUse: 0 });
  });

  test('a connection that breaks between two batches rejects', async () => {
    const { database, proxy } = await openThroughProxy();
    const rows = database.stream('select generate_series(1, 1000)', [], { batchSize: 10, ...second });
    const iterator = rows[Symbol.asyncIterator]();
    await iterator.next();
    proxy.cut();
    const error = await failure(iterator.next());
    expect(isTransient(error)).toBe(true);
    await database.query('select 1', [], second);
    expect(database.stats().inUse).toBe(0);
  });
});

describe('transactions', () => {
  test('commit, or roll back as a whole', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    await policyDb.transaction((session) => session.query('create table pair (i int unique)'), second);
    const error = await failure(
      policyDb.transaction(async (session) => {
        await session.query('insert into pair values (1)');
        await session.query('insert into pair values (1)');
      }, second),
    );
    expect(databaseFailureKind(error)).toBe('data');
    const { rows } = await policyDb.query('select * from pair', [], second);
    expect(rows).toEqual([]);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, inUse: 0 });
  });

  test('a swallowed failure is not taken for a commit', async () => {
    const { policyDb } = await open(target.url);
    const error = await failure(
      policyDb.transaction((session) => session.query('select wrong').catch(() => {}), second),
    );
    expect(error.message).toMatch(/was rolled back/);
  });

  test('the server ends a statement by itself, and no setting stays behind', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 1 });
    await policyDb.transaction(async (session) => {
      const { rows } = await session.query('show statement_timeout');
      expect(rows).toEqual([{ statement_timeout: '5s' }]);
    }, second);
    const { rows } = await policyDb.query('show statement_timeout', [], second);
    expect(rows).toEqual([{ statement_timeout: '0' }]);
  });
});

describe('when the network or the server fails', () => {
  test('a silent network costs one deadline, not one for every pooled connection', async () => {
    const { database, proxy } = await openThroughProxy({ maxOpenConnections: 5 });
    const before = await backendsAtOnce(database, 5);
    expect(proxy.connections).toBe(5);
    proxy.goSilent();
    await failure(database.query('select 1', [], { timeoutMs: 100 }));
    proxy.resume();
    expect((await backendsAtOnce(database, 5)).filter((pid) => before.includes(pid))).toEqual([]);
    expect(database.stats()).toMatchObject({ inUse: 0 });
  });

  test('a connection attempt into silence ends at the deadline', async () => {
    const { database, proxy } = await openThroughProxy();
    proxy.goSilent();
    const error = await failure(database.query('select 1', [], { timeoutMs: 100 }));
    expect(error.message).toMatch(/did not answer within 100 ms/);
    proxy.resume();
    await database.query('select 1', [], second);
  });

  test('a crash of the server breaks running statements; after its return work goes on', async () => {
    const server = await startPostgres();
    try {
      const { policyDb } = await open(server.url, { maxOpenConnections: 3 });
      await Promise.all([policyDb.query('select 1', [], second), policyDb.query('select 1', [], second)]);
      const running = failure(policyDb.query('select pg_sleep(60)', [], second));
      await server.crash();
      expect(isTransient(await running)).toBe(true);
      expect(isTransient(await failure(policyDb.query('select 1', [], second)))).toBe(true);
      await server.start();
      await policyDb.query('select 1', [], second);
      expect(policyDb.stats()).toMatchObject({ inUse: 0 });
    } finally {
      await server.stop();
    }
  });

  test('close breaks off what does not end by itself', async () => {
    const databases = await open(target.url);
    const running = failure(databases.policyDb.query('select pg_sleep(60)', [], { timeoutMs: 30_000 }));
    await databases.policyDb.query('select 1', [], second);
    await databases.close();
    expect((await running).message).toMatch(/terminated/);
    await failure(databases.policyDb.query('select 1', [], second));
  });
});

describe('pools', () => {
  test('databases with equal URLs share one pool, others do not', async () => {
    const shared = await open(target.url, { maxOpenConnections: 3 });
    await Promise.all([
      shared.policyDb.query('select 1', [], second),
      shared.appMetricsDb.query('select 1', [], second),
    ]);
    expect(shared.policyDb.stats()).toEqual(shared.appMetricsDb.stats());
    const separate = await openDatabases(
      databaseConfig(target.url),
      databaseConfig(`${target.url}?application_name=x`, { maxOpenConnections: 4 }),
      deps,
    );
    opened.push(separate);
    expect(separate.policyDb.stats().maxOpenConnections).toBe(10);
    expect(separate.appMetricsDb.stats().maxOpenConnections).toBe(4);
  });

  test('more idle connections than configured are closed and counted', async () => {
    const { policyDb } = await open(target.url, { maxOpenConnections: 4, maxIdleConnections: 1 });
    await backendsAtOnce(policyDb, 4);
    expect(policyDb.stats()).toMatchObject({ openConnections: 1, idle: 1, maxIdleClosed: 3 });
  });

  test('connections older than their lifetime are closed and counted', async () => {
    const { policyDb } = await open(target.url, { connectionMaxLifetimeMs: 20 });
    const backend = `select pg_backend_pid() as pid`;
    const { rows: before } = await policyDb.query(`${backend}, pg_sleep(0.05)`, [], second);
    await eventually('another connection', async () => {
      const { rows: after } = await policyDb.query(backend, [], second);
      return after[0]?.['pid'] !== before[0]?.['pid'];
    });
    // A slow machine may need as long for the second.
    expect(policyDb.stats().maxLifetimeClosed).toBeGreaterThanOrEqual(1);
  });

  test('metrics have the names that dashboards know, a shared pool under both', async () => {
    const databases = await open(target.url, { maxOpenConnections: 7 });
    await databases.policyDb.query('select 1', [], second);
    const registry = new Registry();
    registerPoolMetrics(registry, databases);
    const lines = (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line);
    const expected = (source: string) => [
      `autoscaler_eventgenerator_${source}_max_open_connections 7`,
      `autoscaler_eventgenerator_${source}_open_connections 1`,
      `autoscaler_eventgenerator_${source}_in_use 0`,
      `autoscaler_eventgenerator_${source}_idle 1`,
      `autoscaler_eventgenerator_${source}_wait_count 0`,
      `autoscaler_eventgenerator_${source}_wait_duration 0`,
      `autoscaler_eventgenerator_${source}_max_idle_closed 0`,
      `autoscaler_eventgenerator_${source}_max_lifetime_closed 0`,
    ];
    expect(lines).toEqual([...expected('appMetricDB'), ...expected('policyDB')]);
  });
});

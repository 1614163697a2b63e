import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import dns from 'node:dns';
import { systemClock } from '../../src/util/clock.js';
import { openDatabases, type Database, type Databases } from '../../src/database/database.js';
import { isMisconfiguration } from '../../src/database/errors.js';
import { silentLogger } from '../support/silent-logger.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { backendsAtOnce } from './backends.js';

/* Database URLs with several hosts, against two real servers: one can be written to, the other is a standby. */

const patient = { timeoutMs: 10_000 };
let primary: PostgresServer;
let standby: PostgresServer;
let goneProxy: TcpProxy;
let proxies: readonly [TcpProxy, TcpProxy];
const opened: Databases[] = [];

beforeAll(async () => {
  [primary, standby, goneProxy] = await Promise.all([
    startPostgres(),
    startPostgres({ files: { 'standby.signal': '' } }),
    startTcpProxy(1),
  ]);
  await goneProxy.close();
}, 180_000);
beforeEach(async () => {
  proxies = await Promise.all([startTcpProxy(primary.port), startTcpProxy(standby.port)]);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((databases) => databases.close()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
});
afterAll(() => Promise.all([primary.stop(), standby.stop()]));

function open(ports: readonly number[], parameters = '', changes = {}): Promise<Database> {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join();
  return openUrl(`postgres://postgres:geheim@${hosts}/postgres?${parameters}`, changes);
}

async function openUrl(url: string, changes = {}): Promise<Database> {
  const config = databaseConfig(url, changes);
  const databases = await openDatabases(config, config, {
    clock: systemClock,
    logger: silentLogger,
    trustedRoots: noRoots,
  });
  opened.push(databases);
  return databases.appMetricsDb;
}

/** Which of the two servers answers, or why none does. */
async function reached(database: Database): Promise<string> {
  try {
    const { rows } = await database.query<{ standby: boolean }>(
      'select pg_is_in_recovery() as standby',
      [],
      patient,
    );
    return rows[0]?.standby ? 'standby' : 'primary';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('target_session_attrs', () => {
  test.each([
    ['', 'standby', 'primary'],
    ['any', 'standby', 'primary'],
    ['read-write', 'primary', 'primary'],
    ['primary', 'primary', 'primary'],
    ['read-only', 'standby', 'standby'],
    ['standby', 'standby', 'standby'],
    ['prefer-standby', 'standby', 'standby'],
  ])('%s: with the standby first %s, with the primary first %s', async (wanted, one, other) => {
    const parameters = `target_session_attrs=${wanted}`;
    expect(await reached(await open([standby.port, primary.port], parameters))).toBe(one);
    expect(await reached(await open([primary.port, standby.port], parameters))).toBe(other);
  });

  test('prefer-standby is content with a primary', async () => {
    const parameters = 'target_session_attrs=prefer-standby';
    expect(await reached(await open([goneProxy.port, primary.port], parameters))).toBe('primary');
  });

  test('a single server that is not what is wanted is refused with the reason', async () => {
    expect(await reached(await open([standby.port], 'target_session_attrs=read-write'))).toBe(
      `appmetrics_db: no connection to 127.0.0.1:${standby.port}: the server is a standby, and target_session_attrs wants read-write`,
    );
  });

  test('a primary that is set read-only is none for read-write', async () => {
    const parameters = 'target_session_attrs=read-write&options=-c%20default_transaction_read_only%3Don';
    expect(await reached(await open([primary.port], parameters))).toMatch(/the server is read-only, and/);
  });
});

test('where no host fits each is named with its reason, and no password is', async () => {
  const message = await reached(await open([goneProxy.port, standby.port], 'target_session_attrs=primary'));
  expect(message).toContain(`127.0.0.1:${goneProxy.port}: connect ECONNREFUSED`);
  expect(message).toContain(`127.0.0.1:${standby.port}: the server is a standby`);
  expect(message).not.toContain('geheim');
});

test('a refused login ends the search, as it is the same everywhere', async () => {
  const database = await open([standby.port, primary.port], 'dbname=nowhere');
  const failed = await database.query('select 1', [], patient).catch((error: unknown) => error);
  expect((failed as Error).message).toMatch(
    new RegExp(`no connection to 127.0.0.1:${standby.port}: database "nowhere" does not exist`),
  );
  expect(isMisconfiguration(failed)).toBe(true);
});

test('after a failover the next host is taken, and connections to the old one are not', async () => {
  const [first, second] = proxies;
  const database = await open([first.port, second.port], '', { maxOpenConnections: 3 });
  const all = () => Promise.all([1, 2, 3].map(() => reached(database)));
  expect(await all()).toEqual(['primary', 'primary', 'primary']);
  await first.close();
  await eventually('the end of all connections', () => database.stats().openConnections === 0);
  expect(await reached(database)).toBe('standby');
  expect(await all()).toEqual(['standby', 'standby', 'standby']);
});

describe('a name with the addresses of several servers', () => {
  /** At one port, as the addresses of a name have it: the standby at the first address, the primary at the other. */
  async function cluster(): Promise<{ database: Database; primary: TcpProxy; standby: TcpProxy }> {
    const first = await startTcpProxy(standby.port);
    const listenAt = { port: first.port, address: '127.0.0.2' };
    const second = await startTcpProxy(primary.port, '127.0.0.1', listenAt);
    started.push(first, second);
    const { prototype } = dns.promises.Resolver;
    const addresses = () => Promise.resolve(['127.0.0.1', '127.0.0.2']);
    jest.spyOn(prototype, 'resolve4').mockImplementation(addresses);
    jest
      .spyOn(prototype, 'resolve6')
      .mockRejectedValue(Object.assign(new Error('none'), { code: 'ENODATA' }));
    const url = `postgres://postgres@cluster-${first.port}.test:${first.port}/postgres?target_session_attrs=read-write`;
    return { database: await openUrl(url), primary: second, standby: first };
  }
  const started: TcpProxy[] = [];
  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all(started.splice(0).map((proxy) => proxy.close()));
  });

  test('is searched for the one that is wanted, which further connections go to directly', async () => {
    const scene = await cluster();
    expect(await reached(scene.database)).toBe('primary');
    scene.standby.goSilent();
    expect(new Set(await backendsAtOnce(scene.database, 3))).toHaveProperty('size', 3);
  });

  test('is searched again when that one is gone, and the error tells of each', async () => {
    const scene = await cluster();
    expect(await reached(scene.database)).toBe('primary');
    await scene.primary.close();
    await eventually('the end of all connections', () => scene.database.stats().openConnections === 0);
    expect(await reached(scene.database)).toMatch(
      /no connection to cluster.*: connect ECONNREFUSED 127\.0\.0\.2:.*: the server is a standby, and .*; at 127\.0\.0\.2: connect ECONNREFUSED/,
    );
  });

  test('is told at the right one to stop a statement that takes too long', async () => {
    const { database } = await cluster();
    expect(await reached(database)).toBe('primary');
    const admin = await open([primary.port]);
    await expect(database.query('select pg_sleep(600) as given_up', [], { timeoutMs: 200 })).rejects.toThrow(
      /did not answer/,
    );
    await eventually('the end of the statement', async () => {
      const running = `select from pg_stat_activity where state = 'active' and query like '%as given_up'`;
      return (await admin.query(running, [], patient)).rowCount === 0;
    });
  });
});

test('a host that accepts connections and says nothing is passed over, though no caller waits that long', async () => {
  const [first, second] = proxies;
  first.goSilent();
  const database = await open([first.port, second.port], 'connect_timeout=1');
  for (;;) {
    const answer = await database.query('select 1', [], { timeoutMs: 300 }).then(
      () => 'answered',
      (error: Error) => error.message,
    );
    if (answer === 'answered') break;
    expect(answer).toMatch(/did not answer within 300 ms/);
  }
  expect(await reached(database)).toBe('standby');
});

test('a statement refused as read-only has every connection of the pool replaced', async () => {
  const database = await open([primary.port], '', { maxOpenConnections: 2 });
  const before = await backendsAtOnce(database, 2);
  expect(new Set(before).size).toBe(2);
  const sql = 'set transaction read only; create table never (id int)';
  await expect(database.transaction((session) => session.query(sql), patient)).rejects.toThrow(
    /read-only transaction/,
  );
  expect((await backendsAtOnce(database, 2)).filter((pid) => before.includes(pid))).toEqual([]);
});

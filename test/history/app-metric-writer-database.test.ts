import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { tableNames } from '../../src/database/table-names.js';
import { createAppMetricStore } from '../../src/history/app-metric-store.js';
import { systemClock } from '../../src/util/clock.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import { openTestDatabases } from '../support/database-config.js';
import { eventually } from '../support/eventually.js';
import { createDatabase, startPostgres, type TestDatabase } from '../support/postgres.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { rows, WriterScene } from './writer-scene.js';

let scene: WriterScene;
beforeEach(() => void (scene = new WriterScene()));
afterEach(() => scene.end());

test('rows that only the database knows to be unusable are found, all others are stored once', async () => {
  const target = await createDatabase();
  const databases = await openTestDatabases(target.url);
  try {
    await migrate(databases, { mode: 'act', all: true });
    await target.pool.query("alter table app_metric add check (value is distinct from '13')");
    const real = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
    scene.writer = scene.create({ store: real });
    scene.writer.add(rows(300).map((entry, i) => (i % 100 === 50 ? { ...entry, value: 13n } : entry)));
    await scene.writer.flush(60_000);
    const stored = await target.pool.query(
      'select count(*)::int, count(distinct timestamp)::int from app_metric',
    );
    expect(stored.rows).toEqual([{ count: 297 }]);
    expect(await scene.counts()).toEqual({ buffered: 0, written: 297, lost: { rejected: 3 } });
    expect(scene.log.map(([event]) => event)).toEqual(['row-rejected']);
  } finally {
    await databases.close();
    await target.drop();
  }
});

test('a crash of the real database in between loses no row', async () => {
  const server = await startPostgres({ settings: { synchronous_commit: 'on' } });
  const databases = await openTestDatabases(server.url);
  try {
    await migrate(databases, { mode: 'act', all: true });
    const real = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
    scene.writer = scene.create({ store: real, clock: systemClock, saveIntervalMs: 5 });
    scene.writer.start();
    scene.writer.add(rows(10));
    const total = async () => {
      const counted = await databases.appMetricsDb.query<{ n: number }>(
        'select count(*)::int n from app_metric',
        [],
        {
          timeoutMs: 5_000,
        },
      );
      return counted.rows[0]?.n;
    };
    while ((await total()) !== 10);
    await server.crash();
    scene.writer.add(rows(10, 11));
    while (!scene.log.some(([event]) => event === 'rows-not-written')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await server.start();
    await scene.writer.flush(10_000);
    expect(await total()).toBe(20);
    expect(await scene.value('app_metric_rows_lost_total')).toEqual({});
  } finally {
    await databases.close();
    await server.stop();
  }
});

describe('an attempt whose answer does not get through', () => {
  let target: TestDatabase;
  let proxy: TcpProxy;
  let databases: Databases;
  beforeEach(async () => {
    target = await createDatabase();
    await createAutoscalerTables(target.pool);
    const url = new URL(target.url);
    proxy = await startTcpProxy(Number(url.port), url.hostname);
    url.port = String(proxy.port);
    databases = await openTestDatabases(url.href);
  });
  afterEach(async () => {
    await databases.close();
    await proxy.close();
    await target.drop();
  });
  const stored = async () => {
    const { rows: found } = await target.pool.query<{ count: number; apart: number }>(
      'select count(*)::int, count(distinct timestamp)::int as apart from app_metric',
    );
    return found[0];
  };

  test('writes its rows once, and those that came meanwhile too', async () => {
    const { appMetricsDb } = databases;
    let commits = 0;
    const store = createAppMetricStore(
      {
        stream: (...args) => appMetricsDb.stream(...args),
        transaction: (work, options) =>
          appMetricsDb.transaction(async (session) => {
            const result = await work(session);
            // The commit gets through, but the connection breaks instead of answering.
            if (commits++ === 0) proxy.loseNextAnswers();
            return result;
          }, options),
      },
      tableNames('act'),
    );
    scene.writer = scene.create({ store, clock: systemClock });
    scene.writer.add(rows(300));
    await scene.writer.saveNow();
    expect(scene.log.map(([event]) => event)).toEqual(['rows-not-written']);
    await eventually('the commit', async () => (await stored())?.count === 300);
    scene.writer.add(rows(20, 301));
    await scene.writer.flush(60_000);
    expect(await stored()).toEqual({ count: 320, apart: 320 });
    expect(await scene.counts()).toEqual({ buffered: 0, written: 320, lost: {} });
  });

  test.each(['read committed', 'repeatable read'])(
    'is waited for while it is still at work (%s)',
    async (isolation) => {
      const name = new URL(target.url).pathname.slice(1);
      await target.pool.query(`alter database "${name}" set default_transaction_isolation to '${isolation}'`);
      const real = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
      const holder = await target.pool.connect();
      await holder.query('begin; lock table app_metric in exclusive mode');
      const waiting = (what: string, count: number) =>
        eventually(what, async () => {
          const { rows: found } = await target.pool.query<{ n: number }>(
            `select count(*)::int n from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`,
          );
          return found[0]?.n === count;
        });
      const first = real.insert(rows(300));
      await waiting('the first attempt', 1);
      const second = real.insert(rows(310), { isRepeated: true });
      await waiting('the repeated one, for the first', 2);
      await holder.query('commit');
      holder.release();
      await Promise.all([first, second]);
      expect(await stored()).toEqual({ count: 310, apart: 310 });
    },
  );
});

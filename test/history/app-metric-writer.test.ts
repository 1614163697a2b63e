import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/util/clock.js';
import type { Databases } from '../../src/database/database.js';
import { DatabaseTimeoutError } from '../../src/database/errors.js';
import { migrate } from '../../src/database/migrations.js';
import { createAppMetricStore, type AppMetricStore } from '../../src/history/app-metric-store.js';
import { AppMetricWriter, type AppMetricWriterOptions } from '../../src/history/app-metric-writer.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import { silentLogger, type Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { tableNames } from '../../src/database/table-names.js';
import { openTestDatabases } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { createDatabase, startPostgres, type TestDatabase } from '../support/postgres.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

const saveIntervalMs = 5_000;
let clock: ManualClock;
let metrics: ReturnType<typeof createMetrics>;
let log: [event: string, data: unknown][];
let written: AppMetric[];
let insert: AppMetricStore['insert'];
let writer: AppMetricWriter;

const logger: Logger = {
  ...silentLogger,
  info: (event, data) => void log.push([event, data]),
  error: (event, _error, data) => void log.push([event, data]),
  child: () => logger,
};
const create = (changes: Partial<AppMetricWriterOptions> = {}) =>
  new AppMetricWriter({
    store: { insert: (...args) => insert(...args) },
    clock,
    logger,
    metrics,
    saveIntervalMs,
    random: () => 0,
    ...changes,
  });

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  log = [];
  written = [];
  insert = async (rows) => void written.push(...rows);
  writer = create();
});
afterEach(async () => {
  insert = () => Promise.resolve();
  await writer.flush(0);
});

const row = (n: number, changes: Partial<AppMetric> = {}): AppMetric => ({
  appId: 'app',
  metricType: 'cpu',
  unit: '%',
  value: 1n,
  timestampNs: BigInt(n),
  ...changes,
});
const rows = (count: number, from = 1) => Array.from({ length: count }, (_, i) => row(from + i));
const numbers = (list: readonly AppMetric[]) => list.map((entry) => Number(entry.timestampNs));
const away = () => Promise.reject(new DatabaseTimeoutError('appmetrics_db did not answer'));
const value = async (name: string): Promise<unknown> => {
  const metric = await metrics.registry.getSingleMetric(`autoscaler_eventgenerator_${name}`)?.get();
  const values = metric?.values ?? [];
  return name.includes('lost')
    ? Object.fromEntries(
        values.filter((entry) => entry.value > 0).map((entry) => [entry.labels['reason'], entry.value]),
      )
    : values[0]?.value;
};
const counts = async () => ({
  buffered: await value('app_metric_writer_buffered_rows'),
  written: await value('app_metric_rows_written_total'),
  lost: await value('app_metric_rows_lost_total'),
});

describe('saving', () => {
  test('once per interval, all that waits', async () => {
    const calls: number[] = [];
    insert = async (list) => void calls.push(list.length);
    writer.start();
    writer.start();
    writer.add(rows(2));
    writer.add(rows(1));
    await clock.advance(saveIntervalMs - 1);
    expect(calls).toEqual([]);
    await clock.advance(1);
    expect(calls).toEqual([3]);
    await clock.advance(2 * saveIntervalMs);
    expect(calls).toEqual([3]);
  });

  test('large numbers go in chunks, in order', async () => {
    const calls: number[] = [];
    insert = async (list) => {
      calls.push(list.length);
      written.push(...list);
    };
    writer.start();
    writer.add(rows(22_500));
    await clock.advance(saveIntervalMs);
    expect(calls).toEqual([10_000, 10_000, 2_500]);
    expect(numbers(written)).toEqual(numbers(rows(22_500)));
    expect(await counts()).toEqual({ buffered: 0, written: 22_500, lost: {} });
  });

  test('never twice at once', async () => {
    let finish = () => {};
    let running = 0;
    insert = () => {
      expect(++running).toBe(1);
      return new Promise<void>((resolve) => {
        finish = () => {
          running--;
          resolve();
        };
      });
    };
    writer.start();
    writer.add(rows(1));
    await clock.advance(saveIntervalMs);
    writer.add(rows(1));
    await clock.advance(3 * saveIntervalMs);
    const flushed = writer.flush(1_000);
    expect(running).toBe(1);
    expect(await value('app_metric_writer_buffered_rows')).toBe(2);
    finish();
    await clock.advance(0);
    finish();
    await flushed;
    expect(await counts()).toEqual({ buffered: 0, written: 2, lost: {} });
  });
});

describe('while appmetrics_db is away', () => {
  test('rows wait, attempts become rarer, and nothing is lost or written twice', async () => {
    const attempts: number[] = [];
    insert = () => {
      attempts.push(clock.monotonic());
      return away();
    };
    writer.start();
    writer.add(rows(10_500));
    await clock.advance(100_000);
    expect(attempts).toEqual([5_000, 15_000, 35_000, 65_000, 95_000]);
    writer.add(rows(1, 10_501));
    expect(await value('app_metric_writer_buffered_rows')).toBe(10_501);

    insert = async (list) => void written.push(...list);
    await clock.advance(30_000);
    expect(numbers(written)).toEqual(numbers(rows(10_501)));
    expect(log).toEqual([
      ['rows-not-written', { waiting: 10_500 }],
      ['rows-written-again', { failures: 5, waiting: 501 }],
    ]);
    expect(await counts()).toEqual({ buffered: 0, written: 10_501, lost: {} });
  });

  test('beyond the bound the oldest give way and are counted', async () => {
    writer = create({ maxBufferedRows: 10 });
    insert = away;
    writer.start();
    writer.add(rows(8));
    await clock.advance(saveIntervalMs);
    writer.add(rows(5, 9));
    writer.add(rows(1, 14));
    expect(await counts()).toEqual({ buffered: 10, written: 0, lost: { buffer_full: 4 } });
    expect(log.filter(([event]) => event === 'buffer-full')).toEqual([['buffer-full', { rows: 10 }]]);
    insert = async (list) => void written.push(...list);
    await clock.advance(2 * saveIntervalMs);
    expect(numbers(written)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  test('a large buffer makes room for a hundredth at once, not for every row anew', async () => {
    writer = create({ maxBufferedRows: 1_000 });
    writer.add(rows(1_001));
    expect(await counts()).toEqual({ buffered: 991, written: 0, lost: { buffer_full: 10 } });
    writer.add(rows(9, 1_002));
    expect(await counts()).toEqual({ buffered: 1_000, written: 0, lost: { buffer_full: 10 } });
  });
});

describe('rows that the table cannot hold', () => {
  test('a unit is cut to what the column holds; an id or type too long costs only its own row', async () => {
    writer.start();
    writer.add([
      row(1, { unit: 'x'.repeat(21) }),
      row(2, { unit: '\u{1F680}'.repeat(25) }),
      row(3, { unit: 'a\0b' }),
      row(4, { metricType: 'x'.repeat(101) }),
      row(5, { metricType: '\u{1F680}'.repeat(100) }),
      row(6, { appId: 'a\0' }),
      row(7),
    ]);
    await clock.advance(saveIntervalMs);
    expect(written.map((entry) => [Number(entry.timestampNs), entry.unit])).toEqual([
      [1, 'x'.repeat(20)],
      [2, '\u{1F680}'.repeat(20)],
      [3, 'ab'],
      [5, '%'],
      [7, '%'],
    ]);
    expect(await value('app_metric_rows_lost_total')).toEqual({ rejected: 2 });
    expect(log).toEqual([['row-rejected', { appId: 'app', metricType: 'x'.repeat(100) }]]);
  });

  test('those that only the database knows are found, all others are stored once', async () => {
    const target = await createDatabase();
    const databases = await openTestDatabases(target.url);
    try {
      await migrate(databases, { mode: 'act', all: true });
      await target.pool.query("alter table app_metric add check (value is distinct from '13')");
      const real = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
      writer = create({ store: real });
      writer.add(rows(300).map((entry, i) => (i % 100 === 50 ? { ...entry, value: 13n } : entry)));
      await writer.flush(60_000);
      const stored = await target.pool.query(
        'select count(*)::int, count(distinct timestamp)::int from app_metric',
      );
      expect(stored.rows).toEqual([{ count: 297 }]);
      expect(await counts()).toEqual({ buffered: 0, written: 297, lost: { rejected: 3 } });
      expect(log.map(([event]) => event)).toEqual(['row-rejected']);
    } finally {
      await databases.close();
      await target.drop();
    }
  });

  test('the log names one in ten minutes and counts the others', async () => {
    const bad = row(1, { appId: 'x'.repeat(300) });
    writer.add([bad, bad]);
    await clock.advance(600_000);
    writer.add([bad]);
    expect(log.map(([, data]) => (data as { suppressed?: number }).suppressed)).toEqual([undefined, 1]);
  });
});

test('saves soon what apps that went to other members still bring', async () => {
  writer.start();
  writer.saveSoon();
  await clock.advance(300);
  writer.add(rows(2));
  await clock.advance(200);
  expect(numbers(written)).toEqual([1, 2]);
  writer.saveSoon();
  await writer.flush(1_000);
  expect(clock.pendingTimers).toBe(0);
  writer.saveSoon();
  expect(clock.pendingTimers).toBe(0);
});

describe('flush', () => {
  test('waits for a save at once that is under way, and loses none of its rows', async () => {
    let answer: () => void = () => {};
    insert = (batch) =>
      new Promise((resolve) => {
        answer = () => {
          written.push(...batch);
          resolve();
        };
      });
    writer.start();
    writer.add(rows(3));
    void writer.saveNow();
    await clock.advance(0);
    let isFlushed = false;
    const flushed = writer.flush(1_000).then(() => (isFlushed = true));
    await clock.advance(500);
    expect(isFlushed).toBe(false);
    answer();
    await flushed;
    expect(numbers(written)).toEqual([1, 2, 3]);
    expect((await counts()).lost).toEqual({});
    expect(log).toEqual([]);
  });

  test('writes what waits at the end', async () => {
    writer.start();
    writer.add(rows(3));
    await writer.flush(1_000);
    expect(numbers(written)).toEqual([1, 2, 3]);
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(saveIntervalMs);
    writer.add(rows(2));
    expect(await counts()).toEqual({ buffered: 0, written: 3, lost: { shutdown: 2 } });
  });

  test('tries again until its deadline, then counts what is lost', async () => {
    let attempts = 0;
    insert = () => {
      attempts++;
      return away();
    };
    writer.start();
    writer.add(rows(3));
    const flushed = writer.flush(1_000);
    await clock.advance(1_000);
    await flushed;
    expect(attempts).toBe(4);
    expect(await counts()).toEqual({ buffered: 0, written: 0, lost: { shutdown: 3 } });
    expect(log.map(([event]) => event)).toEqual(['rows-not-written', 'rows-lost']);
    expect(clock.pendingTimers).toBe(0);
  });

  test('does not wait longer for a database that hangs', async () => {
    insert = () => new Promise(() => {});
    writer.start();
    writer.add(rows(3));
    await clock.advance(saveIntervalMs);
    const flushed = writer.flush(1_000);
    await clock.advance(1_000);
    await flushed;
    expect(await value('app_metric_rows_lost_total')).toEqual({ shutdown: 3 });
  });
});

test('a crash of the real database in between loses no row', async () => {
  const server = await startPostgres({ settings: { synchronous_commit: 'on' } });
  const databases = await openTestDatabases(server.url);
  try {
    await migrate(databases, { mode: 'act', all: true });
    const real = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
    writer = create({ store: real, clock: systemClock, saveIntervalMs: 5 });
    writer.start();
    writer.add(rows(10));
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
    writer.add(rows(10, 11));
    while (!log.some(([event]) => event === 'rows-not-written')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await server.start();
    await writer.flush(10_000);
    expect(await total()).toBe(20);
    expect(await value('app_metric_rows_lost_total')).toEqual({});
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
    writer = create({ store, clock: systemClock });
    writer.add(rows(300));
    await writer.saveNow();
    expect(log.map(([event]) => event)).toEqual(['rows-not-written']);
    await eventually('the commit', async () => (await stored())?.count === 300);
    writer.add(rows(20, 301));
    await writer.flush(60_000);
    expect(await stored()).toEqual({ count: 320, apart: 320 });
    expect(await counts()).toEqual({ buffered: 0, written: 320, lost: {} });
  });

  test('is waited for while it is still at work', async () => {
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
  });
});

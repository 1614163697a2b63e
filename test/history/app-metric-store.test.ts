import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database, Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { createAppMetricStore, type AppMetricStore } from '../../src/history/app-metric-store.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import type { HistoryQuery } from '../../src/history/history-reader.js';
import { tableNames } from '../../src/database/table-names.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let target: TestDatabase;
let databases: Databases;
let store: AppMetricStore;

beforeAll(async () => {
  target = await createDatabase();
  databases = await openTestDatabases(target.url);
  await migrate(databases, { mode: 'act', all: true });
  store = createAppMetricStore(databases.appMetricsDb, tableNames('act'));
});
beforeEach(() => target.pool.query('truncate app_metric'));
afterAll(async () => {
  await databases.close();
  await target.drop();
});

const metric = (timestampNs: bigint, value: bigint | null, changes: Partial<AppMetric> = {}): AppMetric => ({
  appId: 'app',
  metricType: 'cpu',
  unit: value === null ? '' : '%',
  value,
  timestampNs,
  ...changes,
});
const query = (changes: Partial<HistoryQuery> = {}): HistoryQuery => ({
  appId: 'app',
  metricType: 'cpu',
  startNs: 0n,
  endNs: 2n ** 63n - 1n,
  order: 'ASC',
  ...changes,
});
async function collect(batches: AsyncIterable<readonly AppMetric[]>): Promise<AppMetric[]> {
  const rows: AppMetric[] = [];
  for await (const batch of batches) rows.push(...batch);
  return rows;
}
const timestamps = (rows: readonly AppMetric[]) => rows.map((row) => row.timestampNs);

/** Runs EXPLAIN on what the store would run. */
async function planOf(read: (store: AppMetricStore) => AsyncIterable<unknown>): Promise<string> {
  let plan = '';
  const explaining: Pick<Database, 'stream' | 'transaction'> = {
    transaction: () => Promise.reject(new Error('not expected')),
    async *stream(sql, params) {
      const { rows } = await databases.appMetricsDb.query<{ 'QUERY PLAN': string }>(
        `explain ${sql}`,
        params,
        {
          timeoutMs: 5000,
        },
      );
      plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      yield* [];
    },
  };
  for await (const _batch of read(createAppMetricStore(explaining, tableNames('act'))))
    expect(_batch).toEqual([]);
  return plan;
}

describe('insert and stream', () => {
  test('values are written as decimal text, no data as empty text, and read back the same', async () => {
    const rows = [
      metric(1n, 0n),
      metric(2n, 2n ** 63n - 1n),
      metric(3n, -(2n ** 63n)),
      metric(1_755_700_000_123_456_789n, null),
    ];
    await store.insert(rows);
    expect(await collect(store.stream(query()))).toEqual(rows);
    const { rows: raw } = await target.pool.query('select value, unit from app_metric order by timestamp');
    expect(raw).toEqual([
      { value: '0', unit: '%' },
      { value: '9223372036854775807', unit: '%' },
      { value: '-9223372036854775808', unit: '%' },
      { value: '', unit: '' },
    ]);
  });

  test('NULL, empty and foreign values are no data, never zero', async () => {
    await target.pool.query(
      `insert into app_metric values ('app','cpu','%',1,null), ('app','cpu','%',2,''), ('app','cpu','%',3,'NaN'),
       ('app','cpu','%',4,'1e3'), ('app','cpu','%',5,'9223372036854775808'), ('app','cpu','%',6,'+7')`,
    );
    const rows = await collect(store.stream(query()));
    expect(rows.map((row) => row.value)).toEqual([null, null, null, null, null, 7n]);
    expect(rows[0]?.unit).toBe('');
  });

  test('both ends count, order is as asked for, others stay out', async () => {
    await store.insert([
      metric(3n, 3n),
      metric(1n, 1n),
      metric(2n, 2n),
      metric(4n, 4n),
      metric(2n, 9n, { appId: 'other' }),
      metric(2n, 9n, { metricType: 'other' }),
    ]);
    expect(timestamps(await collect(store.stream(query({ startNs: 2n, endNs: 3n }))))).toEqual([2n, 3n]);
    expect(timestamps(await collect(store.stream(query({ order: 'DESC' }))))).toEqual([4n, 3n, 2n, 1n]);
    expect(await collect(store.stream(query({ appId: "' or true --" })))).toEqual([]);
  });

  test('a long history comes in batches', async () => {
    await target.pool.query(
      "insert into app_metric select 'app','cpu','%',i,i::text from generate_series(1,500) i",
    );
    const sizes: number[] = [];
    for await (const batch of store.stream(query())) sizes.push(batch.length);
    expect(sizes).toEqual([200, 200, 100]);
  });

  test('text with quotes, commas, braces and backslashes arrives unharmed', async () => {
    const odd = metric(1n, 1n, { metricType: 'a"b\\c,{d} e\'f', unit: '"\\,{}NULL' });
    await store.insert([odd, metric(2n, 1n, { metricType: 'NULL', unit: 'null' })]);
    expect(await collect(store.stream(query({ metricType: odd.metricType })))).toEqual([odd]);
    expect(await collect(store.stream(query({ metricType: 'NULL' })))).toHaveLength(1);
  });

  test('one statement takes more rows than PostgreSQL has parameters for', async () => {
    await store.insert(Array.from({ length: 20_000 }, (_, i) => metric(BigInt(i), BigInt(i))));
    const { rows } = await target.pool.query('select count(*)::int from app_metric');
    expect(rows).toEqual([{ count: 20_000 }]);
  });
});

describe('readRecent', () => {
  test('reads each app and metric type since its own time, oldest first', async () => {
    await store.insert([
      metric(1n, 1n),
      metric(3n, 3n),
      metric(2n, null),
      metric(5n, 5n, { appId: 'b', metricType: 'disk', unit: 'MB' }),
      metric(4n, 4n, { appId: 'b', metricType: 'disk', unit: 'MB' }),
      metric(9n, 9n, { appId: 'not asked for' }),
    ]);
    const rows = await collect(
      store.readRecent([
        { appId: 'app', metricType: 'cpu', sinceNs: 2n },
        { appId: 'b', metricType: 'disk', sinceNs: 0n },
        { appId: 'unknown', metricType: 'cpu', sinceNs: 0n },
      ]),
    );
    expect(rows.map((row) => [row.appId, row.timestampNs, row.value])).toEqual([
      ['app', 2n, null],
      ['app', 3n, 3n],
      ['b', 4n, 4n],
      ['b', 5n, 5n],
    ]);
    expect(await collect(store.readRecent([]))).toEqual([]);
  });

  test('of a history that is out of all proportion, the newest points', async () => {
    await target.pool.query(
      "insert into app_metric select 'app','cpu','%',i,'1' from generate_series(1,10500) i",
    );
    const rows = await collect(store.readRecent([{ appId: 'app', metricType: 'cpu', sinceNs: 0n }]));
    expect([rows.length, rows[0]?.timestampNs, rows.at(-1)?.timestampNs]).toEqual([10_000, 501n, 10_500n]);
  });
});

test('reads use the index and scan no table, however many apps are asked for', async () => {
  await target.pool.query(
    `insert into app_metric select 'app-' || a, 'cpu', '%', t, '1'
     from generate_series(1, 500) a, generate_series(1, 100) t`,
  );
  await target.pool.query('analyze app_metric');
  const asked = Array.from({ length: 400 }, (_, i) => ({
    appId: `app-${i}`,
    metricType: 'cpu',
    sinceNs: 10n,
  }));
  const plans = [
    await planOf((reading) => reading.readRecent(asked)),
    await planOf((reading) => reading.stream(query({ appId: 'app-7' }))),
    await planOf((reading) => reading.stream(query({ appId: 'app-7', order: 'DESC' }))),
  ];
  for (const plan of plans) {
    expect(plan).toMatch(/index_app_metrics/);
    expect(plan).not.toMatch(/Seq Scan/);
  }
});

test('a repeated batch writes what is not there, looking each row up in the index', async () => {
  await target.pool.query(
    `insert into app_metric select 'app-' || a, 'cpu', '%', t, '1'
     from generate_series(1, 500) a, generate_series(1, 100) t`,
  );
  await target.pool.query('analyze app_metric');
  const rows = Array.from({ length: 500 }, (_, i) =>
    metric(99n + BigInt(i % 4), 5n, { appId: `app-${i + 1}` }),
  );
  await store.insert(rows, { isRepeated: true });
  await store.insert(rows, { isRepeated: true });
  const { rows: stored } = await target.pool.query(
    `select count(*)::int, count(distinct (app_id, timestamp))::int as apart,
       count(*) filter (where value = '5')::int as added from app_metric`,
  );
  expect(stored).toEqual([{ count: 50_250, apart: 50_250, added: 250 }]);

  let plan = '';
  const explaining: Pick<Database, 'stream' | 'transaction'> = {
    ...databases.appMetricsDb,
    transaction: (work, options) =>
      databases.appMetricsDb.transaction(
        (session) =>
          work({
            async query(sql, params) {
              if (!sql.includes('insert')) return session.query(sql, params);
              const explained = await session.query<{ 'QUERY PLAN': string }>(`explain ${sql}`, params);
              plan = explained.rows.map((row) => row['QUERY PLAN']).join('\n');
              return { rows: [], rowCount: 0 };
            },
          }),
        options,
      ),
  };
  await createAppMetricStore(explaining, tableNames('act')).insert(rows, { isRepeated: true });
  expect(plan).toMatch(/index_app_metrics/);
  expect(plan).not.toMatch(/Seq Scan/);
});

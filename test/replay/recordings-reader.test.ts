import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { tableNames } from '../../src/database/table-names.js';
import type { Databases } from '../../src/database/database.js';
import { storedValue } from '../../src/history/app-metric-store.js';
import { recordingsReader } from '../../src/replay/recordings-reader.js';
import type { Recording } from '../../src/replay/recording.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let target: TestDatabase;
let databases: Databases;
beforeAll(async () => {
  target = await createDatabase();
  await createAutoscalerTables(target.pool);
  databases = await openTestDatabases(target.url);
});
afterAll(async () => {
  await databases.close();
  await target.drop();
});

type Row = readonly [timestampNs: bigint, value: string | null, unit?: string];

async function insert(appId: string, metricType: string, rows: readonly Row[]): Promise<void> {
  for (const [timestampNs, value, unit = '%'] of rows) {
    await target.pool.query('insert into app_metric values ($1, $2, $3, $4, $5)', [
      ...[appId, metricType, unit, timestampNs, value],
    ]);
  }
}

function pointsOf(recording: Recording | undefined): unknown[] {
  return Array.from({ length: recording?.size ?? 0 }, (_, index) => [
    recording?.timestampAt(index),
    recording?.valueAt(index),
  ]);
}

const read = (appId: string, metricTypes: readonly string[], sinceNs = 0n, untilNs = 2n ** 63n - 1n) =>
  recordingsReader(databases.appMetricsDb, tableNames('act'))({ appId, metricTypes, sinceNs, untilNs });

test('the recordings come in the order asked for, oldest first, from the time asked for', async () => {
  await insert('app', 'cpu', [
    [30n, '3'],
    [10n, '1'],
    [20n, ''],
    [40n, '4'],
  ]);
  await insert('app', 'memoryused', [[20n, '64', 'MB']]);
  await insert('other', 'cpu', [[20n, '9']]);
  const [memory, nothing, cpu] = await read('app', ['memoryused', 'disk', 'cpu'], 20n, 30n);
  expect([memory?.metricType, memory?.unit, pointsOf(memory)]).toEqual(['memoryused', 'MB', [[20n, 64n]]]);
  expect([nothing?.metricType, nothing?.unit, nothing?.size]).toEqual(['disk', '', 0]);
  expect(pointsOf(cpu)).toEqual([
    [20n, null],
    [30n, 3n],
  ]);
  expect([...(cpu?.numbers ?? [])]).toEqual([NaN, 3]);
});

test('values are read as histories read them', async () => {
  const texts = [
    ...['0', '-0', '+7', '-42', '007', '123456789012345678', '-123456789012345678'],
    ...['9223372036854775807', '-9223372036854775808', '9223372036854775808', '-9223372036854775809'],
    ...[
      '00000000000000000000000000000000000000042',
      '1.5',
      '1e3',
      ' 1',
      'NaN',
      '',
      '9'.repeat(40),
      '9'.repeat(41),
    ],
    ...['0'.repeat(39) + '7', 'x', '7\n8', '\n', '5'],
  ];
  await insert('odd', 'jobs', [
    ...texts.map((text, index): Row => [BigInt(index + 1), text, 'jobs']),
    [99n, null],
  ]);
  const [jobs] = await read('odd', ['jobs']);
  expect(pointsOf(jobs)).toEqual([
    ...texts.map((text, index) => [BigInt(index + 1), storedValue(text)]),
    [99n, null],
  ]);
});

test('of several at one time the first counts, and times of all sizes are exact', async () => {
  const late = 1_795_794_960_123_456_789n;
  await insert('twice', 'cpu', [
    [1n, '1'],
    [5n, '2'],
    [5n, '2'],
    [5n, '2'],
    [late, ''],
    [late, ''],
  ]);
  const [cpu] = await read('twice', ['cpu']);
  expect(pointsOf(cpu)).toEqual([
    [1n, 1n],
    [5n, 2n],
    [late, null],
  ]);
  const ms = Number(late / 1_000_000n);
  expect([0, ms, ms + 1].map((atMs) => cpu?.firstFrom(atMs))).toEqual([0, 2, 3]);
  expect(() => cpu?.timestampAt(3)).toThrow(RangeError);
});

test('more than can be held is refused', async () => {
  await target.pool.query(
    `insert into app_metric select 'huge', 'cpu', '%', n, '1' from generate_series(1, 125001) n`,
  );
  await expect(read('huge', ['cpu'])).rejects.toThrow(
    'huge has more than 125000 app metrics of cpu in this time',
  );
  const [cpu] = await read('huge', ['cpu'], 2n);
  expect(cpu?.size).toBe(125_000);
});

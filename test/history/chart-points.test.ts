import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { tableNames } from '../../src/database/table-names.js';
import { chartPointsReader } from '../../src/history/chart-points.js';
import { createDecisionDatabase, type DecisionDatabase } from '../decisions/database.js';

let db: DecisionDatabase;
beforeAll(async () => {
  db = await createDecisionDatabase();
});
afterAll(() => db.close());

test('points of each metric type come in the order of time, and what is no int64 is no data', async () => {
  const values = ['7', null, '', '-3', '1e9', '9223372036854775808', 'a b', '4'];
  await db.target.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select app_id, metric_type, '%', n * 1000000000 + 999999, value
     from unnest($1::text[]) with ordinality as v (value, n),
       (values ('app', 'cpu'), ('app', 'jobs'), ('app', 'unasked'), ('other', 'cpu')) as s (app_id, metric_type)
     order by n desc`,
    [values],
  );
  const read = chartPointsReader(db.databases.appMetricsDb, tableNames('act'));
  const window = { startNs: 2_000_000_000n, endNs: 8_000_999_999n };
  const points = await read({ appId: 'app', metricTypes: ['cpu', 'jobs', 'none'], ...window });
  expect([...points.keys()].sort()).toEqual(['cpu', 'jobs']);
  expect(points.get('cpu')).toEqual([
    { atMs: 2_000, value: null },
    { atMs: 3_000, value: null },
    { atMs: 4_000, value: -3 },
    { atMs: 5_000, value: null },
    { atMs: 6_000, value: null },
    { atMs: 7_000, value: null },
    { atMs: 8_000, value: 4 },
  ]);
  expect(points.get('jobs')).toEqual(points.get('cpu'));
});

test('of very many points only the newest are read', async () => {
  await db.target.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select 'busy', 'cpu', '%', n * 1000000000, '1' from generate_series(1::bigint, 17281) as n`,
  );
  const read = chartPointsReader(db.databases.appMetricsDb, tableNames('act'));
  const points = await read({ appId: 'busy', metricTypes: ['cpu'], startNs: 0n, endNs: 10n ** 17n });
  expect(points.get('cpu')).toHaveLength(17_280);
  expect(points.get('cpu')?.at(0)).toEqual({ atMs: 2_000, value: 1 });
});

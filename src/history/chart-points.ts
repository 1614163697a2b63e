import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import { remembering } from '../util/remembering.js';
import { storedValue } from './app-metric-store.js';

/** A point for a chart: wall-clock ms, and a value that need not be exact; null is *no data*. */
export interface ChartPoint {
  readonly atMs: number;
  readonly value: number | null;
}

export interface ChartQuery {
  readonly appId: string;
  readonly metricTypes: readonly string[];
  /** ns since the epoch, both inclusive. */
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** The newest points of each metric type in the order of time. Rejects when the database does not answer. */
export type ReadChartPoints = (query: ChartQuery) => Promise<ReadonlyMap<string, readonly ChartPoint[]>>;

const timeoutMs = 5_000;
/** Of one metric type: two days at an interval of 10 s. The newest count. */
const maxPoints = 17_280;

/** Two texts for each metric type: thousands of rows would cost the main thread ten times as much. */
const selectPoints = (table: string) => `
select wanted.metric_type, string_agg((newest.timestamp / 1000000)::text, ' ' order by newest.timestamp) as times,
  string_agg(case when newest.value ~ '^[+-]?[0-9]+$' then newest.value else '' end, ' ' order by newest.timestamp) as values
from unnest($2::varchar[]) as wanted (metric_type)
cross join lateral (
  select timestamp, value from ${table}
  where app_id = $1 and metric_type = wanted.metric_type and timestamp between $3 and $4
  order by timestamp desc limit ${maxPoints}
) as newest
group by wanted.metric_type`;

export function chartPointsReader(
  database: Pick<Database, 'query'>,
  { appMetric }: Pick<TableNames, 'appMetric'>,
): ReadChartPoints {
  const sql = selectPoints(appMetric);
  return async ({ appId, metricTypes, startNs, endNs }) => {
    type Row = { metric_type: string; times: string; values: string };
    const params = [appId, metricTypes, startNs, endNs];
    const { rows } = await database.query<Row>(sql, params, { timeoutMs });
    return new Map(rows.map((row) => [row.metric_type, pointsOf(row.times, row.values)]));
  };
}

function pointsOf(times: string, values: string): ChartPoint[] {
  const texts = values.split(' ');
  const valueOf = remembering(numberOf);
  return times.split(' ').map((time, index) => ({ atMs: Number(time), value: valueOf(texts[index] ?? '') }));
}

function numberOf(text: string): number | null {
  const value = storedValue(text);
  return value === null ? null : Number(value);
}

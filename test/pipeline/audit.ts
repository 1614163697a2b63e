import type { Platform } from '../platform/platform.js';
import type { TestDatabase } from '../support/postgres.js';

/** A row of `app_metric`. */
export interface StoredRow {
  readonly appId: string;
  readonly metricType: string;
  readonly unit: string;
  readonly timestampNs: bigint;
  /** Empty: *no data*. */
  readonly value: string;
}

export interface StoredRowsOptions {
  readonly appId?: string | null;
  readonly sinceNs?: bigint;
  readonly table?: 'app_metric' | 'eventgenerator_observed';
}

/** Rows of one app or of all, newer than sinceNs; oldest first. */
export async function storedRows(
  database: Pick<TestDatabase, 'pool'>,
  { appId = null, sinceNs = 0n, table = 'app_metric' }: StoredRowsOptions = {},
): Promise<StoredRow[]> {
  const { rows } = await database.pool.query<
    Record<'app_id' | 'metric_type' | 'unit' | 'timestamp' | 'value', string>
  >(
    `select app_id, metric_type, unit, timestamp, value from ${table}
     where timestamp > $1 and ($2::text is null or app_id = $2) order by timestamp, app_id, metric_type`,
    [sinceNs, appId],
  );
  return rows.map((row) => ({
    appId: row.app_id,
    metricType: row.metric_type,
    unit: row.unit,
    timestampNs: BigInt(row.timestamp),
    value: row.value,
  }));
}

export interface Windows {
  readonly statWindowSecs: number;
  readonly httpWindowSecs: number;
}

/** What the row should say, out of the platform's models instead of log-cache's envelopes. */
export function trueRow(row: StoredRow, { truth }: Pick<Platform, 'truth'>, windows: Windows): StoredRow {
  const expected = expectedMetric(row, truth, windows);
  return { ...row, value: expected?.value.toString() ?? '', unit: expected?.unit ?? '' };
}

function expectedMetric(
  { appId, metricType, timestampNs }: StoredRow,
  truth: Platform['truth'],
  windows: Windows,
) {
  if (metricType === 'throughput' || metricType === 'responsetime') {
    // log-cache knows whole seconds only.
    const endUs = Number(timestampNs / 1_000_000_000n) * 1e6;
    const startUs = endUs - windows.httpWindowSecs * 1e6;
    const measured = truth.expectedHttpMetric(appId, metricType, startUs, endUs);
    if (measured) return measured;
    const isKnown = truth.samples(appId, 'cpu', startUs, Number(timestampNs / 1_000n)).length > 0;
    return isKnown ? { value: 0n, unit: metricType === 'throughput' ? 'rps' : 'ms' } : null;
  }
  const endUs = Number(timestampNs / 1_000n);
  return truth.expectedGaugeMetric(appId, metricType, endUs - windows.statWindowSecs * 1e6, endUs);
}

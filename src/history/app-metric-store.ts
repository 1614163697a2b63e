import { randomBytes } from 'node:crypto';
import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import { isInt64 } from '../util/int64.js';
import type { AppMetric } from './app-metric.js';
import type { HistoryQuery } from './history-reader.js';

/** What a warm-up wants to know: the newest app metrics of one app and metric type, back to a time. */
export interface RecentQuery {
  readonly appId: string;
  readonly metricType: string;
  /** ns since the epoch, inclusive. */
  readonly sinceNs: bigint;
}

/** App metrics in appmetrics_db: appended to and read, never changed. */
export interface AppMetricStore {
  /**
   * Writes all rows or none. Duplicates are not noticed: the table has no key. `isRepeated` is for rows
   * that an earlier attempt may have written: it waits for one that is still at work, and leaves out what is there.
   * `timeoutMs` shortens the usual deadline.
   */
  insert(
    rows: readonly AppMetric[],
    options?: { readonly timeoutMs?: number; readonly isRepeated?: boolean },
  ): Promise<void>;
  /** Batches in the order asked for. Rejects when the rows are not complete, also in the middle. */
  stream(query: HistoryQuery): AsyncIterable<readonly AppMetric[]>;
  /** Batches, each app and metric type in one piece or several that follow each other, oldest first; at most 10,000 points of one. */
  readRecent(queries: readonly RecentQuery[]): AsyncIterable<readonly AppMetric[]>;
}

export const statementTimeoutMs = 10_000;
/**
 * Few enough that the rows of a batch are gone before the garbage collector sees them; larger batches of several responses
 * at once survive it, and take a quarter of the main thread.
 */
const batchSize = 200;
const warmUpBatchSize = 1_000;
/** Far above what a day of points every ten seconds comes to: a bound for a table that somebody else filled. */
const maxRecentPoints = 10_000;

/**
 * Taken before anything is written, so that a repeated attempt waits until the server has ended the first, one way or
 * the other. A server that does not notice that our end is gone lets go of it after a while.
 */
const takeLock = `
select pg_advisory_xact_lock($1), set_config('idle_in_transaction_session_timeout', '${statementTimeoutMs}', true)`;

const wantedRows = `unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])`;

const insertRows = (table: string) => `
insert into ${table} (app_id, metric_type, unit, timestamp, value) select * from ${wantedRows}`;

/** The limit keeps the planner from joining the whole table: each row is looked up in the index. */
const insertMissingRows = (table: string) => `
insert into ${table} (app_id, metric_type, unit, timestamp, value)
select wanted.* from ${wantedRows} as wanted(app_id, metric_type, unit, timestamp, value)
left join lateral (
  select true as found from ${table} there
  where there.app_id = wanted.app_id and there.metric_type = wanted.metric_type and there.timestamp = wanted.timestamp
  limit 1
) as stored on true
where stored.found is null`;

/** App id and metric type are what was asked for: half of a response's bytes, and of the work to read them. */
const selectHistory = (table: string, order: HistoryQuery['order']) => `
select unit, timestamp, value from ${table}
where app_id = $1 and metric_type = $2 and timestamp >= $3 and timestamp <= $4
order by timestamp ${order === 'DESC' ? 'desc' : 'asc'}`;

/**
 * The limit does not only bound: it keeps the planner from joining the whole table, which has no index by time. Of what was
 * asked for only its place comes back.
 */
const selectRecent = (table: string) => `
select newest.*, wanted.place::int from unnest($1::text[], $2::text[], $3::bigint[])
  with ordinality as wanted(app_id, metric_type, since_ns, place)
cross join lateral (
  select * from (
    select unit, timestamp, value from ${table}
    where app_id = wanted.app_id and metric_type = wanted.metric_type and timestamp >= wanted.since_ns
    order by timestamp desc limit ${maxRecentPoints}
  ) as latest
  order by timestamp
) as newest`;

/** bigint columns come as text. */
type PointRow = readonly [unit: string, timestampNs: string, value: string | null];
/** `place` counts from 1. */
type RecentRow = readonly [...PointRow, place: number];

export function createAppMetricStore(
  database: Pick<Database, 'stream' | 'transaction'>,
  { appMetric: table }: Pick<TableNames, 'appMetric'>,
): AppMetricStore {
  /** Of this writer alone: others write at the same time. */
  const lock = randomBytes(8).readBigInt64BE();
  const [allRows, missingRows, recent] = [insertRows(table), insertMissingRows(table), selectRecent(table)];
  return {
    async insert(rows, options) {
      const columns = [
        rows.map((row) => row.appId),
        rows.map((row) => row.metricType),
        rows.map((row) => (row.value === null ? '' : row.unit)),
        rows.map((row) => row.timestampNs),
        rows.map((row) => row.value?.toString() ?? ''),
      ];
      const timeoutMs = Math.min(statementTimeoutMs, options?.timeoutMs ?? statementTimeoutMs);
      await database.transaction(
        async (session) => {
          // Statements of their own: the second must see what was committed while the first waited.
          await session.query(takeLock, [lock]);
          await session.query(options?.isRepeated ? missingRows : allRows, columns);
        },
        { timeoutMs },
      );
    },
    async *stream({ appId, metricType, startNs, endNs, order }) {
      const batches = database.stream<PointRow>(
        selectHistory(table, order),
        [appId, metricType, startNs, endNs],
        {
          batchSize,
          timeoutMs: statementTimeoutMs,
        },
      );
      for await (const rows of batches) yield rows.map((row) => appMetric(appId, metricType, row));
    },
    async *readRecent(queries) {
      const columns = [
        queries.map((query) => query.appId),
        queries.map((query) => query.metricType),
        queries.map((query) => query.sinceNs),
      ];
      const batches = database.stream<RecentRow>(recent, columns, {
        batchSize: warmUpBatchSize,
        timeoutMs: statementTimeoutMs,
      });
      for await (const rows of batches) {
        const found: AppMetric[] = [];
        for (const row of rows) {
          const asked = queries[row[3] - 1];
          if (asked) found.push(appMetric(asked.appId, asked.metricType, row));
        }
        yield found;
      }
    },
  };
}

function appMetric(
  appId: string,
  metricType: string,
  [unit, timestampNs, text]: PointRow | RecentRow,
): AppMetric {
  const value = storedValue(text);
  return { appId, metricType, value, unit: value === null ? '' : unit, timestampNs: BigInt(timestampNs) };
}

/**
 * null for *no data*: NULL, '', and whatever another program may have written that is no int64 (Go cannot evaluate
 * that either). No data keeps a rule from firing, which is the harmless error.
 */
export function storedValue(text: string | null): bigint | null {
  if (text === null || !/^[+-]?\d{1,40}$/.test(text)) return null;
  const value = BigInt(text.replace('+', ''));
  return isInt64(value) ? value : null;
}

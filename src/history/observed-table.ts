import type { Database } from '../database/database.js';
import { ensureTables, saysTableIsGone, type EnsureTablesOptions } from '../database/ensure-tables.js';
import { tableNames } from '../database/table-names.js';
import type { ProcessContext } from '../observability/process-context.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { endsWithin, msToNs, sleep } from '../util/clock.js';
import type { AppMetric } from './app-metric.js';
import type { AppMetricStore, RecentQuery } from './app-metric-store.js';
import type { HistoryQuery } from './history-reader.js';

export interface ObservedTableOptions extends ProcessContext {
  readonly database: Database;
  /** Of this table. */
  readonly store: AppMetricStore;
  /** Age at which app metrics are removed. */
  readonly retentionMs: number;
}

const pruneEveryMs = 60_000;
/** Few enough for one statement to be quick, many enough to keep up with 50,000 apps in a minute. */
const rowsPerStatement = 10_000;
const statementTimeoutMs = 10_000;
const stopDeadlineMs = 500;
/** Between two lines that say that the table is missing. */
const tablesReportMs = 600_000;

/**
 * Each observer skips the rows that another removes at that moment. $1: its own limit, ns since the epoch; $2: the retention
 * in ms. A row must also be old by the database's clock: an observer whose clock is days ahead must not remove what
 * the others need.
 */
const pruneSql = `
delete from ${tableNames('observe').appMetric} where ctid = any(array(
  select ctid from ${tableNames('observe').appMetric}
  where timestamp < least($1::bigint, ((extract(epoch from statement_timestamp()) * 1000)::bigint - $2::bigint) * 1000000)
  order by timestamp limit ${rowsPerStatement} for update skip locked))`;

/**
 * The app metrics of observers, in a table that is created when it is first used, and pruned by whoever writes to it.
 * Where it may not be created app metrics wait in the writer, and all else goes on.
 */
export class ObservedTable implements AppMetricStore {
  readonly #tables: EnsureTablesOptions;
  readonly #repeated: RepeatedEvents;
  readonly #stopping = new AbortController();
  #isThere = false;
  #pruning: Promise<void> | undefined;

  constructor(private readonly options: ObservedTableOptions) {
    const { clock, database, metrics } = options;
    const logger = options.logger.child('observed');
    this.#repeated = new RepeatedEvents({ clock, metrics, logger });
    const repeated = new RepeatedEvents({ clock, metrics, logger, lineIntervalMs: tablesReportMs });
    this.#tables = { database, mode: 'observe', group: 'observed', mayCreate: true, logger, repeated };
  }

  async insert(...args: Parameters<AppMetricStore['insert']>): Promise<void> {
    if (!(await this.#ready())) throw notUsable();
    try {
      await this.options.store.insert(...args);
    } catch (error) {
      if (saysTableIsGone(error)) this.#isThere = false;
      throw error;
    }
  }

  async *stream(query: HistoryQuery): AsyncIterable<readonly AppMetric[]> {
    if (!(await this.#ready())) throw notUsable();
    yield* this.options.store.stream(query);
  }

  /** Nothing, where nothing can have been stored. */
  async *readRecent(queries: readonly RecentQuery[]): AsyncIterable<readonly AppMetric[]> {
    if (await this.#ready()) yield* this.options.store.readRecent(queries);
  }

  /** Begins to remove old app metrics. Idempotent. */
  start(): void {
    this.#pruning ??= this.#run();
  }

  /** Waits for a statement that is running, if that is quick. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await endsWithin(this.options.clock, stopDeadlineMs, Promise.resolve(this.#pruning));
  }

  /** Whether the table is there and may be used. Rejects while the database is away. */
  async #ready(): Promise<boolean> {
    return (this.#isThere ||= await ensureTables(this.#tables));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.options.clock, pruneEveryMs, signal);
      if (this.#isThere && !signal.aborted) await this.#prune(signal);
    }
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const { clock, database, retentionMs } = this.options;
    const before = msToNs(clock.now() - retentionMs);
    try {
      let removed = rowsPerStatement;
      while (removed === rowsPerStatement && !signal.aborted) {
        const result = await database.query(pruneSql, [before, retentionMs], {
          timeoutMs: statementTimeoutMs,
        });
        removed = result.rowCount;
      }
    } catch (error) {
      this.#repeated.error('not-pruned', error);
    }
  }
}

function notUsable(): Error {
  return new Error('the table of observed app metrics is missing, or may not be used');
}

import { backOff } from '../util/back-off.js';
import { sleep, type Clock } from '../util/clock.js';
import type { Database } from '../database/database.js';
import { databaseFailureKind } from '../database/errors.js';
import { errorCode } from '../util/errors.js';
import { mayUseOwnTables, migrate, ownTablesSql, ownTablesSqlFor } from '../database/migrations.js';
import type { Logger } from '../observability/logger.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Statements } from './member-store.js';
import type { ProcessContext } from '../observability/process-context.js';

/**
 * How the tables were found.
 * - `ready`: they are there, and this user may use them
 * - `later`: the database does not respond; they are created when it does
 * - `refused`: they are missing and this user may not create them, or may not use them; the SQL was logged
 */
type TablesState = 'ready' | 'later' | 'refused';

/** While the database is away; other pauses grow with every attempt. */
const awayRetryMs = 5_000;
const firstRetryMs = 2_000;
const maxRetryMs = 60_000;
/** A repair that lasts this long has helped. */
const repairedAfterMs = 120_000;
/** No such table; no right to it. */
const goneStates = new Set(['42P01', '42501']);

/**
 * Creates the tables of elastic ownership where they are missing, also later: they can vanish when the database is
 * restored, or fails over to an older copy.
 */
export class OwnTables implements Statements {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #stopping = new AbortController();
  #repairing: Promise<void> | undefined;
  #attempts = 0;
  #repairedMs = -Infinity;

  constructor(database: Database, { clock, logger, metrics }: ProcessContext) {
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger.child('ownership');
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
  }

  /** How the tables are found at the start. Never rejects. */
  async prepare(): Promise<TablesState> {
    const state = await this.#create(', and restart');
    if (state === 'later') this.#repair();
    return state;
  }

  /** As of the database. Where a statement finds the tables or the rights gone, they are created again. */
  async query<Row extends Record<string, unknown>>(
    sql: string,
    params: readonly unknown[],
    options: { readonly timeoutMs: number },
  ): Promise<{ readonly rows: readonly Row[] }> {
    try {
      return await this.#database.query<Row>(sql, params, options);
    } catch (error) {
      if (goneStates.has(errorCode(error))) this.#repair();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#repairing;
  }

  async #create(remedy: string): Promise<TablesState> {
    const database = this.#database;
    try {
      const created = await migrate(
        { policyDb: database, appMetricsDb: database },
        { all: false, own: ['ownership'] },
      );
      if (created.length > 0) this.#logger.info('tables-created', { tables: created });
      if (await mayUseOwnTables(database)) return 'ready';
      const error = new Error('the tables are there, but this user has no right to use them');
      return await this.#refused(error, remedy);
    } catch (error) {
      return databaseFailureKind(error) === 'connection' ? 'later' : await this.#refused(error, remedy);
    }
  }

  async #refused(error: unknown, remedy: string): Promise<TablesState> {
    const sql = await ownTablesSqlFor(this.#database).catch(() => ownTablesSql);
    this.#repeated.error('tables-missing', error, {
      remedy: `let a user who may create tables in appmetrics_db run this SQL${remedy}`,
      sql,
    });
    return 'refused';
  }

  #repair(): void {
    if (this.#stopping.signal.aborted) return;
    this.#repairing ??= this.#createUntilReady().finally(() => (this.#repairing = undefined));
  }

  /** Waits after a success, too: a repair that does not last is not tried again at every statement. */
  async #createUntilReady(): Promise<void> {
    const { signal } = this.#stopping;
    if (this.#clock.monotonic() - this.#repairedMs > repairedAfterMs) this.#attempts = 0;
    let state: TablesState = 'later';
    while (state !== 'ready' && !signal.aborted) {
      state = await this.#create('; no restart is needed');
      const isAway = state === 'later';
      if (!isAway) this.#attempts++;
      const delayMs = isAway ? awayRetryMs : backOff(firstRetryMs, maxRetryMs, this.#attempts);
      await sleep(this.#clock, delayMs, signal);
    }
    this.#repairedMs = this.#clock.monotonic();
  }
}

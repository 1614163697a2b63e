import type { Mode } from '../config/config.js';
import { backOff } from '../util/back-off.js';
import { sleep, type Clock } from '../util/clock.js';
import type { Database } from '../database/database.js';
import { ensureTables, saysTableIsGone, type EnsureTablesOptions } from '../database/ensure-tables.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
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

/**
 * Creates the tables of elastic ownership where they are missing, also later: they can vanish when the database is
 * restored, or fails over to an older copy.
 */
export class OwnTables implements Pick<Database, 'query'> {
  readonly #clock: Clock;
  readonly #tables: EnsureTablesOptions;
  readonly #stopping = new AbortController();
  #repairing: Promise<void> | undefined;
  #attempts = 0;
  #repairedMs = -Infinity;

  constructor(database: Database, mode: Mode, { clock, logger: parent, metrics }: ProcessContext) {
    this.#clock = clock;
    const logger = parent.child('ownership');
    const repeated = new RepeatedEvents({ clock, metrics, logger });
    this.#tables = { database, mode, group: 'ownership', mayCreate: true, logger, repeated };
  }

  /** How the tables are found at the start. Never rejects. */
  async prepare(): Promise<TablesState> {
    const state = await this.#create({ ...this.#tables, andThen: ', and restart' });
    if (state === 'later') this.#repair();
    return state;
  }

  /** As of the database. Where a statement finds the tables or the rights gone, they are created again. */
  readonly query: Database['query'] = async (...statement) => {
    try {
      return await this.#tables.database.query(...statement);
    } catch (error) {
      if (saysTableIsGone(error)) this.#repair();
      throw error;
    }
  };

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#repairing;
  }

  async #create(tables: EnsureTablesOptions): Promise<TablesState> {
    try {
      return (await ensureTables(tables)) ? 'ready' : 'refused';
    } catch {
      return 'later';
    }
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
      state = await this.#create(this.#tables);
      const isAway = state === 'later';
      if (!isAway) this.#attempts++;
      const delayMs = isAway ? awayRetryMs : backOff(firstRetryMs, maxRetryMs, this.#attempts);
      await sleep(this.#clock, delayMs, signal);
    }
    this.#repairedMs = this.#clock.monotonic();
  }
}

import { backOff } from '../util/back-off.js';
import { sleep } from '../util/clock.js';
import type { Database } from '../database/database.js';
import { databaseFailureKind } from '../database/errors.js';
import { errorCode } from '../util/errors.js';
import { mayUseOwnTables, migrate, ownTablesSql, ownTablesSqlFor } from '../database/migrations.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Statements } from './member-store.js';
import type { Releasers } from '../util/releasers.js';
import type { ProcessContext } from '../process-context.js';

export interface OwnTables {
  /**
   * How they were found at the start.
   * - `ready`: the tables are there, and this user may use them
   * - `later`: the database does not answer; they are created when it does
   * - `refused`: they are missing and this user may not create them, or may not use them; the SQL was logged
   */
  readonly atStart: 'ready' | 'later' | 'refused';
  /** The database. Where a statement finds the tables or the rights gone, what the start did is done again. */
  readonly statements: Statements;
}

/** While the database is away; the others grow with every attempt that it answered. */
const awayRetryMs = 5_000;
const firstRetryMs = 2_000;
const maxRetryMs = 60_000;
/** A repair that has held for so long was one. */
const repairedAfterMs = 120_000;
/** No such table; no right to it. */
const goneStates = new Set(['42P01', '42501']);

/**
 * Creates the tables of elastic ownership where they are missing. They can vanish later, when the database is restored
 * or changes over to an older copy. Never rejects.
 */
export async function prepareOwnTables(
  database: Database,
  { clock, logger: parent, metrics }: ProcessContext,
  releasers: Releasers,
): Promise<OwnTables> {
  const logger = parent.child('ownership');
  const repeated = new RepeatedEvents({ clock, logger, metrics });
  const stopping = new AbortController();
  let repairing: Promise<void> | undefined;
  let attempts = 0;
  let repairedMs = -Infinity;

  async function create(remedy: string): Promise<OwnTables['atStart']> {
    try {
      const created = await migrate({ policyDb: database, appMetricsDb: database }, { all: false });
      if (created.length > 0) logger.info('tables-created', { tables: created });
      if (await mayUseOwnTables(database)) return 'ready';
      return await refused(new Error('the tables are there, but this user has no right to use them'), remedy);
    } catch (error) {
      return databaseFailureKind(error) === 'connection' ? 'later' : await refused(error, remedy);
    }
  }

  async function refused(error: unknown, remedy: string): Promise<OwnTables['atStart']> {
    const sql = await ownTablesSqlFor(database).catch(() => ownTablesSql);
    repeated.error('tables-missing', error, {
      remedy: `let a user who may create tables in appmetrics_db run this SQL${remedy}`,
      sql,
    });
    return 'refused';
  }

  /** Waits after a success, too: what helped once and not for long is not tried at every statement. */
  async function createUntilReady(): Promise<void> {
    if (clock.monotonic() - repairedMs > repairedAfterMs) attempts = 0;
    let result: OwnTables['atStart'] = 'later';
    while (result !== 'ready' && !stopping.signal.aborted) {
      result = await create('; no restart is needed');
      const isAway = result === 'later';
      if (!isAway) attempts++;
      const delayMs = isAway ? awayRetryMs : backOff(firstRetryMs, maxRetryMs, attempts);
      await sleep(clock, delayMs, stopping.signal);
    }
    repairedMs = clock.monotonic();
  }

  function repair(): void {
    if (stopping.signal.aborted) return;
    repairing ??= createUntilReady().finally(() => (repairing = undefined));
  }

  const atStart = await create(', and restart');
  if (atStart === 'later') repair();
  releasers.add('table creation', () => {
    stopping.abort();
    return repairing;
  });
  return {
    atStart,
    statements: {
      async query(sql, params, options) {
        try {
          return await database.query(sql, params, options);
        } catch (error) {
          if (goneStates.has(errorCode(error))) repair();
          throw error;
        }
      },
    },
  };
}

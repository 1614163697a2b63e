import { sleep } from '../clock.js';
import type { Database } from '../database/database.js';
import { failureKind } from '../database/errors.js';
import { mayUseOwnTables, migrate, ownTablesSql, ownTablesSqlFor } from '../database/migrations.js';
import type { Releasers } from '../releasers.js';
import type { Surroundings } from './surroundings.js';

/**
 * - `ready`: the tables are there, and this user may use them
 * - `later`: the database does not answer; they are created when it does
 * - `refused`: they are missing and this user may not create them, or may not use them; the SQL was logged
 */
export type OwnTables = 'ready' | 'later' | 'refused';

const retryMs = 5_000;

/** Creates the tables of elastic ownership where they are missing. Never rejects. */
export async function prepareOwnTables(
  database: Database,
  { clock, logger: parent }: Surroundings,
  releasers: Releasers,
): Promise<OwnTables> {
  const logger = parent.child('ownership');
  const stopping = new AbortController();

  async function create(): Promise<OwnTables> {
    try {
      const created = await migrate({ policyDb: database, appMetricsDb: database }, { all: false });
      if (created.length > 0) logger.info('tables-created', { tables: created });
      if (await mayUseOwnTables(database)) return 'ready';
      return await refused(new Error('the tables are there, but this user has no right to use them'));
    } catch (error) {
      return failureKind(error) === 'connection' ? 'later' : await refused(error);
    }
  }

  async function refused(error: unknown): Promise<OwnTables> {
    logger.error('tables-missing', error, {
      remedy: 'let a user who may create tables in appmetrics_db run this SQL, and restart',
      sql: await ownTablesSqlFor(database).catch(() => ownTablesSql),
    });
    return 'refused';
  }

  async function createLater(): Promise<void> {
    let result: OwnTables = 'later';
    while (result === 'later' && !stopping.signal.aborted) {
      await sleep(clock, retryMs, stopping.signal);
      if (!stopping.signal.aborted) result = await create();
    }
  }

  const result = await create();
  if (result === 'later') {
    const creating = createLater();
    releasers.add('table creation', () => {
      stopping.abort();
      return creating;
    });
  }
  return result;
}

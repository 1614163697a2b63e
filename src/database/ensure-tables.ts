import type { Mode } from '../config/config.js';
import type { Logger } from '../observability/logger.js';
import type { RepeatedEvents } from '../observability/repeated-events.js';
import { errorCode } from '../util/errors.js';
import type { Database } from './database.js';
import { databaseFailureKind, noRight, noSuchTable } from './errors.js';
import { mayUseOwnTables, migrate, ownTablesSql, ownTablesSqlFor, type OwnTableGroup } from './migrations.js';

export interface EnsureTablesOptions {
  readonly database: Database;
  readonly mode: Mode;
  readonly group: OwnTableGroup;
  /** Whether they are created where they are missing; if not, nothing is said when they are. */
  readonly mayCreate: boolean;
  readonly logger: Pick<Logger, 'info'>;
  readonly repeated: Pick<RepeatedEvents, 'error'>;
  /** The end of the remedy "let a user … run this SQL". Default: that no restart is needed. */
  readonly andThen?: string;
}

/** Whether an error says that a table is not there, or may not be used. */
export function saysTableIsGone(error: unknown): boolean {
  return [noSuchTable, noRight].includes(errorCode(error));
}

/**
 * Creates a group of our tables where they are missing. Returns whether they may be used; where not, the log says which
 * SQL an operator must run. Rejects while the database is away.
 */
export async function ensureTables(options: EnsureTablesOptions): Promise<boolean> {
  const { database, mode, group, mayCreate, logger } = options;
  try {
    if (mayCreate) {
      const both = { policyDb: database, appMetricsDb: database };
      const created = await migrate(both, { mode, all: false, own: [group] });
      if (created.length > 0) logger.info('tables-created', { tables: created });
    }
    if (await mayUseOwnTables(database, mode, group)) return true;
  } catch (error) {
    if (databaseFailureKind(error) === 'connection') throw error;
    if (mayCreate || errorCode(error) !== noSuchTable) await sayWhatToRun(error, options);
    return false;
  }
  await sayWhatToRun(new Error('the tables are there, but this user has no right to use them'), options);
  return false;
}

async function sayWhatToRun(error: unknown, options: EnsureTablesOptions): Promise<void> {
  const { database, mode, repeated, andThen = '; no restart is needed' } = options;
  const sql = await ownTablesSqlFor(database, mode).catch(() => ownTablesSql(mode));
  const remedy = `let a user who may create tables in appmetrics_db run this SQL${andThen}`;
  repeated.error('tables-missing', error, { remedy, sql });
}

import type { ProcessContext } from '../observability/process-context.js';
import type { Config, Mode } from '../config/config.js';
import type { Database, Databases } from '../database/database.js';
import { noSuchTable, readOnlyState } from '../database/errors.js';
import { errorCode, errorText } from '../util/errors.js';
import { readOnlyRemedy } from '../database/read-only.js';
import { dropObserversTables, migrate, ownTablesSql } from '../database/migrations.js';
import { tableNames } from '../database/table-names.js';
import { createMemberStore } from '../ownership/member-store.js';
import { withDatabases } from './with-databases.js';

export interface MigrateOptions {
  readonly all: boolean;
  readonly dropObserved: boolean;
}

/**
 * `eventgenerator migrate`: creates what is missing for the configured mode, or removes what observers have, and says
 * what. Resolves to the exit code.
 */
export async function migrateCommand(
  config: Config,
  trust: ProcessContext['trust'],
  { all, dropObserved }: MigrateOptions,
): Promise<number> {
  const { mode } = config.evaluator;
  return withDatabases(
    config,
    trust,
    (databases) => (dropObserved ? dropTables(databases.appMetricsDb) : createTables(databases, mode, all)),
    'error',
  );
}

async function createTables(databases: Databases, mode: Mode, all: boolean): Promise<number> {
  try {
    const created = await migrate(databases, { mode, all });
    process.stdout.write(created.length > 0 ? `created ${created.join(', ')}\n` : 'nothing to create\n');
    return 0;
  } catch (error) {
    const isRefusedAsReadOnly = errorCode(error) === readOnlyState;
    process.stdout.write(`failed to create tables: ${errorText(error)}\n`);
    process.stdout.write(
      isRefusedAsReadOnly
        ? readOnlyRemedy
        : `If the user of db.appmetrics_db.url may not create tables, let one who may run this there:\n\n${ownTablesSql(mode)}\n`,
    );
    return 1;
  }
}

async function dropTables(appMetricsDb: Database): Promise<number> {
  try {
    const running = await runningObservers(appMetricsDb);
    if (running > 0) {
      process.stdout.write(
        `nothing was removed: observers are running (${running}) and would create the tables again. Stop them first.\n`,
      );
      return 1;
    }
    const dropped = await dropObserversTables(appMetricsDb);
    process.stdout.write(dropped.length > 0 ? `removed ${dropped.join(', ')}\n` : 'nothing to remove\n');
    return 0;
  } catch (error) {
    process.stdout.write(`failed to remove tables: ${errorText(error)}\n`);
    return 1;
  }
}

/** Those with leases; with static ownership there are none. */
async function runningObservers(appMetricsDb: Database): Promise<number> {
  try {
    return (await createMemberStore(appMetricsDb, tableNames('observe')).readMembers()).length;
  } catch (error) {
    if (errorCode(error) === noSuchTable) return 0;
    throw error;
  }
}

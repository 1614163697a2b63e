import type { ProcessContext } from '../observability/process-context.js';
import type { Config } from '../config/config.js';
import type { Databases } from '../database/database.js';
import { readOnlyState } from '../database/errors.js';
import { errorCode, errorText } from '../util/errors.js';
import { readOnlyRemedy } from '../database/read-only.js';
import { migrate, ownTablesSql } from '../database/migrations.js';
import { withDatabases } from './with-databases.js';

/** `eventgenerator migrate`: creates what is missing and says what. Resolves to the exit code. */
export async function migrateCommand(
  config: Config,
  trust: ProcessContext['trust'],
  all: boolean,
): Promise<number> {
  return withDatabases(config, trust, (databases) => migrateAll(databases, all), 'error');
}

async function migrateAll(databases: Databases, all: boolean): Promise<number> {
  try {
    const created = await migrate(databases, { all });
    process.stdout.write(created.length > 0 ? `created ${created.join(', ')}\n` : 'nothing to create\n');
    return 0;
  } catch (error) {
    const isRefusedAsReadOnly = errorCode(error) === readOnlyState;
    process.stdout.write(`failed to create tables: ${errorText(error)}\n`);
    process.stdout.write(
      isRefusedAsReadOnly
        ? readOnlyRemedy
        : `If the user of db.appmetrics_db.url may not create tables, let one who may run this there:\n\n${ownTablesSql}\n`,
    );
    return 1;
  }
}

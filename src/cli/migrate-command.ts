import { systemClock } from '../util/clock.js';
import { databaseOptions } from '../database/database-options.js';
import type { ProcessContext } from '../observability/process-context.js';
import type { Config } from '../config/config.js';
import { openDatabases } from '../database/database.js';
import { readOnlyState } from '../database/errors.js';
import { errorCode, errorText } from '../util/errors.js';
import { readOnlyRemedy } from '../database/read-only.js';
import { migrate, ownTablesSql } from '../database/migrations.js';
import { createLogger } from '../observability/pino-logger.js';

/** `eventgenerator migrate`: creates what is missing and says what. Resolves to the exit code. */
export async function migrateCommand(
  config: Config,
  trust: ProcessContext['trust'],
  all: boolean,
): Promise<number> {
  const logger = createLogger({ level: 'error' });
  const options = databaseOptions({ clock: systemClock, logger, trust }, 'database');
  const databases = await openDatabases(config.policyDb, config.appMetricsDb, options);
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
  } finally {
    await databases.close();
  }
}

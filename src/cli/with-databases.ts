import type { Config, LogLevel } from '../config/config.js';
import { openDatabases, type Databases } from '../database/database.js';
import { databaseOptions } from '../database/database-options.js';
import { createLogger } from '../observability/pino-logger.js';
import type { ProcessContext } from '../observability/process-context.js';
import { systemClock } from '../util/clock.js';

/** Does the work of a command with both databases, and closes them. */
export async function withDatabases<T>(
  config: Pick<Config, 'policyDb' | 'appMetricsDb'>,
  trust: ProcessContext['trust'],
  work: (databases: Databases) => Promise<T>,
  level: LogLevel = 'fatal',
): Promise<T> {
  const logger = createLogger({ level });
  const options = databaseOptions({ clock: systemClock, logger, trust }, 'database');
  const databases = await openDatabases(config.policyDb, config.appMetricsDb, options);
  try {
    return await work(databases);
  } finally {
    await databases.close();
  }
}

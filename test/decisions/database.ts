import { openDatabases, type Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/util/clock.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

export interface DecisionDatabase {
  readonly target: TestDatabase;
  readonly databases: Databases;
  close(): Promise<void>;
}

/** A database with all tables. */
export async function createDecisionDatabase(): Promise<DecisionDatabase> {
  const target = await createDatabase();
  const config = databaseConfig(target.url);
  const databases = await openDatabases(config, config, {
    clock: systemClock,
    logger: silentLogger,
    trustedRoots: noRoots,
  });
  await migrate(databases, { all: true });
  return {
    target,
    databases,
    async close() {
      await databases.close();
      await target.drop();
    },
  };
}

import type { Databases } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrations.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

export interface DecisionDatabase {
  readonly target: TestDatabase;
  readonly databases: Databases;
  close(): Promise<void>;
}

/** A database with all tables. */
export async function createDecisionDatabase(): Promise<DecisionDatabase> {
  const target = await createDatabase();
  const databases = await openTestDatabases(target.url);
  await migrate(databases, { mode: 'act', all: true });
  return {
    target,
    databases,
    async close() {
      await databases.close();
      await target.drop();
    },
  };
}

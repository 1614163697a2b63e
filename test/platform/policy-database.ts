import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { createDatabase, startPostgres } from '../support/postgres.js';

export interface PolicyDatabase {
  readonly url: string;
  /** Drops the database, and stops the server if it was started for it. */
  close(): Promise<void>;
}

/**
 * A new database with the autoscaler's tables and these policies: on the server that DATABASE_URL names, else on one
 * of its own.
 */
export async function openPolicyDatabase(
  policies: readonly (readonly [appId: string, policy: unknown])[],
): Promise<PolicyDatabase> {
  const releases: (() => Promise<void>)[] = [];
  const close = async () => {
    for (let last = releases.pop(); last; last = releases.pop()) await last();
  };
  try {
    let serverUrl = process.env['DATABASE_URL'];
    if (!serverUrl) {
      const server = await startPostgres();
      releases.push(() => server.stop());
      serverUrl = server.url;
    }
    const database = await createDatabase(serverUrl);
    releases.push(() => database.drop());
    await createAutoscalerTables(database.pool);
    await insertPolicies(database.pool, policies);
    return { url: database.url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

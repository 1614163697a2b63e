import { shareInstallation, startPostgres, type PostgresServer } from './postgres.js';

declare global {
  var testPostgres: PostgresServer | undefined;
  var removePostgres: (() => Promise<void>) | undefined;
}

/** One PostgreSQL server for the whole test run; each test makes databases of its own on it. */
export default async function globalSetup(): Promise<void> {
  if (process.env['DATABASE_URL']) return;
  globalThis.removePostgres = await shareInstallation();
  // Autovacuum would start a process for each of hundreds of databases that live for seconds.
  globalThis.testPostgres = await startPostgres({ settings: { autovacuum: 'off' } });
  process.env['DATABASE_URL'] = globalThis.testPostgres.url;
}

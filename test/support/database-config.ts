import type { DatabaseConfig } from '../../src/config/config.js';
import { openDatabases, type Databases } from '../../src/database/database.js';
import { silentLogger } from './silent-logger.js';
import { systemClock } from '../../src/util/clock.js';

/** A database configuration as it looks when only the URL is given. */
export function databaseConfig(url: string, changes: Partial<DatabaseConfig> = {}): DatabaseConfig {
  return {
    url,
    tls: { key: null, cert: null, ca: null },
    maxOpenConnections: 0,
    maxIdleConnections: 0,
    connectionMaxLifetimeMs: 0,
    connectionMaxIdleTimeMs: 0,
    ...changes,
  };
}

/** Of a process that trusts nobody but the authority in the URL. */
export const noRoots = (): Promise<readonly string[]> => Promise.resolve([]);

/** Both databases at one URL, opened as the program does. */
export function openTestDatabases(url: string): Promise<Databases> {
  const config = databaseConfig(url);
  return openDatabases(config, config, {
    clock: systemClock,
    logger: silentLogger,
    trustedRoots: noRoots,
  });
}

import type { DatabaseConfig } from '../../src/config/config.js';

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

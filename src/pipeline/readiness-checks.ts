import type { Database } from '../database/database.js';
import { isReadOnly } from '../database/read-only.js';
import type { ReadinessCheck } from '../http/readiness.js';
import type { LogCacheCollector } from '../collection/open-collection.js';

export interface CheckedParts {
  readonly databases: { readonly policyDb: Database; readonly appMetricsDb: Database };
  readonly logCache: Pick<LogCacheCollector, 'health' | 'queries' | 'tokens'>;
  /** Whether there are http timers, as far as that can be told. */
  readonly httpTimers: { isUp(): boolean };
  /** Whether this process may work on apps. */
  readonly ownership: { isUp(): boolean };
}

/** Less than the readiness endpoint waits for a check. */
const statementTimeoutMs = 3_000;

/** Checks what this process needs to do its work. */
export function readinessChecks({
  databases,
  logCache,
  httpTimers,
  ownership,
}: CheckedParts): ReadinessCheck[] {
  const { tokens } = logCache;
  const uaa: ReadinessCheck[] = tokens
    ? [{ name: 'uaa', type: 'token', check: () => tokens.authorization().then(() => true) }]
    : [];
  return [
    { name: 'policy_db', type: 'database', check: () => isUp(databases.policyDb) },
    { name: 'appmetrics_db', type: 'database', check: () => isUp(databases.appMetricsDb) },
    {
      name: 'appmetrics_db_writable',
      type: 'database',
      check: async () => !(await isReadOnly(databases.appMetricsDb, statementTimeoutMs)),
    },
    { name: 'log_cache', type: 'log-cache', check: async () => logCache.health.isUp() },
    { name: 'log_cache_queries', type: 'log-cache', check: async () => logCache.queries.isUp() },
    { name: 'http_timers', type: 'log-cache', check: async () => httpTimers.isUp() },
    ...uaa,
    { name: 'ownership', type: 'ownership', check: async () => ownership.isUp() },
  ];
}

async function isUp(database: Database): Promise<boolean> {
  await database.query('select 1', [], { timeoutMs: statementTimeoutMs });
  return true;
}

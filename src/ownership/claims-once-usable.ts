import type { Config } from '../config/config.js';
import type { Database } from '../database/database.js';
import { mayUseOwnTables } from '../database/migrations.js';
import { tableNames } from '../database/table-names.js';
import type { ProcessContext } from '../observability/process-context.js';
import type { Releasers } from '../util/releasers.js';
import type { Claims } from './claims.js';
import { ElasticClaims } from './elastic-claims.js';
import { createLeaseIds } from './lease-id.js';
import type { Ownership } from './ownership.js';
import { claimDeadlineMs } from './timing.js';
import { createTriggerStore } from './trigger-store.js';

/**
 * Claims of a process that has static ownership only because it could not use the tables of elastic ownership at its start.
 * While it cannot use them, it posts without claims. Once it can, processes that start later own the same apps by leases,
 * so it claims as they do.
 */
export function createClaimsOnceUsable(
  { mode, evaluationIntervalMs }: Pick<Config['evaluator'], 'mode' | 'evaluationIntervalMs'>,
  context: ProcessContext,
  releasers: Releasers,
  database: Database,
  ownership: Ownership,
): Claims {
  const claims = new ElasticClaims({
    ...context,
    store: createTriggerStore(database, tableNames(mode)),
    intervalMs: evaluationIntervalMs,
    // There is no lease that could end: the numbers say what is its own.
    ownership: {
      leaseId: createLeaseIds().next(),
      mayPost: () => true,
      confirmLease: () => Promise.resolve(true),
      owns: (appId) => ownership.owns(appId),
    },
  });
  releasers.add('claims', () => claims.stop());
  const isUsable = () => mayUseOwnTables(database, mode, 'ownership', claimDeadlineMs).catch(() => false);
  const logger = context.logger.child('ownership');
  let wereUsable = false;

  async function areUsable(): Promise<boolean> {
    if (wereUsable || !(await isUsable())) return wereUsable;
    if (!wereUsable) {
      const error = new Error('the tables can be used now, so others may share the same apps by leases');
      logger.error('static-beside-tables', error, {
        remedy: 'restart this process, so that it has a lease, too',
      });
    }
    return (wereUsable = true);
  }

  return {
    async claim(appId, direction) {
      return (await areUsable()) ? claims.claim(appId, direction) : { granted: true };
    },
    async complete(appId, direction, pauses) {
      if (wereUsable) await claims.complete(appId, direction, pauses);
    },
  };
}

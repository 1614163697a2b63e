import type { Logger } from '../observability/logger.js';
import type { Claims } from './claims.js';

export interface ClaimsOnceUsableOptions {
  readonly claims: Claims;
  /** Whether claims can be made now. Rejects where that is not known. */
  readonly isUsable: () => Promise<boolean>;
  readonly logger: Pick<Logger, 'error'>;
}

/**
 * Claims of a process that has static ownership only because it could not use the tables of elastic ownership at its start.
 * While it cannot use them, it posts without claims. Once it can, processes that start later own the same apps by leases,
 * so it claims as they do.
 */
export function createClaimsOnceUsable({ claims, isUsable, logger }: ClaimsOnceUsableOptions): Claims {
  let wereUsable = false;

  async function areUsable(): Promise<boolean> {
    if (wereUsable || !(await isUsable().catch(() => false))) return wereUsable;
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

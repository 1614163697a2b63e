import type { Config } from '../config/config.js';
import type { Database } from '../database/database.js';
import { grantedClaims, type Claims } from '../ownership/claims.js';
import type { Ownership } from '../ownership/ownership.js';
import { createStaticOwnership } from '../ownership/static-ownership.js';
import type { Releasers } from '../releasers.js';
import type { Surroundings } from './surroundings.js';

export interface OwnershipParts {
  readonly ownership: Ownership;
  readonly claims: Claims;
}

/** Who works on an app, and who may post for it, as the pool's mode wants it. */
export async function openOwnership(
  { pool }: Pick<Config, 'pool'>,
  _surroundings: Surroundings,
  _database: Database,
  _releasers: Releasers,
): Promise<OwnershipParts> {
  if (!pool.static) throw new Error('pool.total_instances and pool.instance_index are required');
  return { ownership: createStaticOwnership(pool.static), claims: grantedClaims };
}

import type { Config, StaticPool } from '../config/config.js';
import { openDatabase } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import { grantedClaims, type Claims } from './claims.js';
import { createClaimsOnceUsable } from './claims-once-usable.js';
import { ElasticClaims } from './elastic-claims.js';
import { ElasticOwnership } from './elastic-ownership.js';
import { createMemberStore } from './member-store.js';
import type { MemberView } from './members-view.js';
import type { Ownership } from './ownership.js';
import { createStaticOwnership } from './static-ownership.js';
import { createTriggerStore } from './trigger-store.js';
import type { Releasers } from '../util/releasers.js';
import { databaseOptions } from '../database/database-options.js';
import { OwnTables } from './own-tables.js';
import type { ProcessContext } from '../observability/process-context.js';

/** What decides who works on an app and who may post for it. */
export interface OwnershipParts {
  readonly ownership: Ownership;
  readonly claims: Claims;
  /** The lease held now or last; null before the first, and with static ownership. */
  leaseId(): string | null;
  /** Begins to take part. */
  start(): void;
  /** Hands all apps over; they are ours until it resolves. Never rejects. */
  leave(): Promise<void>;
  /** How long a new owner should wait until what the old one collected is in the database; ms. */
  readonly handoverMs: number;
  /** What the fleet knows of cool-downs; null where nothing is shared. */
  readonly readCoolDowns: ElasticClaims['readCoolDowns'] | null;
  /** The living members; null where there are none. */
  readonly readMembers: (() => Promise<readonly MemberView[]>) | null;
  /** Which part of the apps is ours with static ownership, else null. */
  readonly staticShare: StaticPool | null;
}

/**
 * Leases and claims have connections of their own: a renewal that waits behind long history queries costs the lease.
 * One is for the renewal, the others are for claims.
 */
const ownConnections = 3;
/** An old owner that is alive releases its apps right after the switch and writes what it has. One that is dead costs no more. */
const handoverMs = 1_500;
/** Every app is its own. */
const alone: StaticPool = { totalInstances: 1, instanceIndex: 0 };

/**
 * Ownership as `pool.mode` wants it; static where our tables cannot be had and static numbers are configured. An observer
 * without such numbers takes every app.
 */
export async function openOwnership(
  config: Pick<Config, 'pool' | 'appMetricsDb' | 'evaluator' | 'instance'>,
  context: ProcessContext,
  releasers: Releasers,
  appsOwned: () => number,
): Promise<OwnershipParts> {
  const { pool } = config;
  if (pool.mode === 'static') return staticParts(pool.static);

  const { logger } = context;
  const database = await openDatabase(
    'appmetrics_db',
    { ...config.appMetricsDb, maxOpenConnections: ownConnections, maxIdleConnections: ownConnections },
    databaseOptions(context, 'ownership'),
  );
  releasers.add('ownership database', () => database.close());
  const tables = new OwnTables(database, config.evaluator.mode, context);
  releasers.add('table creation', () => tables.stop());
  if ((await tables.prepare()) === 'refused') {
    // Two observers of one app harm nobody.
    const numbers = pool.static ?? (config.evaluator.mode === 'observe' ? alone : null);
    if (numbers) {
      logger.info('ownership.static-instead', { ...numbers });
      const parts = staticParts(numbers);
      const { ownership } = parts;
      const claims = createClaimsOnceUsable(config.evaluator, context, releasers, database, ownership);
      return { ...parts, claims };
    }
    throw new Error(
      'elastic ownership needs tables of its own in appmetrics_db, which this user may not create: run the SQL that was logged, or configure pool.mode: static with pool.total_instances',
    );
  }

  const names = tableNames(config.evaluator.mode);
  const store = createMemberStore(tables, names);
  const ownership = new ElasticOwnership({ ...context, store, appsOwned, instance: config.instance });
  releasers.add('ownership', () => ownership.close());
  const claims = new ElasticClaims({
    ...context,
    ownership,
    store: createTriggerStore(tables, names),
    intervalMs: config.evaluator.evaluationIntervalMs,
  });
  releasers.add('claims', () => claims.stop());
  return {
    ownership,
    claims,
    leaseId: () => ownership.leaseId,
    start: () => ownership.start(),
    leave: () => ownership.leave(),
    handoverMs,
    readCoolDowns: (appIds) => claims.readCoolDowns(appIds),
    readMembers: () => store.readMembers(),
    staticShare: null,
  };
}

function staticParts(numbers: StaticPool | null): OwnershipParts {
  if (!numbers) throw new Error('static ownership needs pool.total_instances and pool.instance_index');
  return {
    ownership: createStaticOwnership(numbers),
    claims: grantedClaims,
    leaseId: () => null,
    start: () => {},
    leave: () => Promise.resolve(),
    handoverMs: 0,
    readCoolDowns: null,
    readMembers: null,
    staticShare: numbers,
  };
}

import type pg from 'pg';
import { ownTablesSql } from '../../src/database/migrations.js';
import { createLeaseIds } from '../../src/ownership/lease-id.js';
import { leaseMs, renewEveryMs } from '../../src/ownership/timing.js';

/** Members that have leases and do nothing: their apps are not the measured members'. */
export interface Peers {
  stop(): Promise<void>;
}

export const peerGuid = 'peer';
const lease = `now() + interval '${leaseMs} milliseconds'`;

/** Creates the tables of elastic ownership, and as many rows of members; one statement renews all of them. */
export async function startPeers(pool: pg.Pool, count: number): Promise<Peers> {
  await pool.query(ownTablesSql('act'));
  const leaseIds = Array.from({ length: count }, () => createLeaseIds().next());
  await pool.query(
    `insert into eventgenerator_member
       (lease_id, instance_guid, instance_index, joined_at, counts_from, expires_at, apps_owned)
     select id, '${peerGuid}', 0, now(), now(), ${lease}, 0 from unnest($1::uuid[]) as id`,
    [leaseIds],
  );
  let renewing: Promise<unknown> = Promise.resolve();
  const renewal = setInterval(() => {
    renewing = pool.query(
      `update eventgenerator_member set expires_at = ${lease} where lease_id = any($1::uuid[])`,
      [leaseIds],
    );
  }, renewEveryMs);
  return {
    async stop() {
      clearInterval(renewal);
      await renewing;
    },
  };
}

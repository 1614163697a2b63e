import {
  leaseMs,
  leaveDeadlineMs,
  membersReadDeadlineMs,
  renewDeadlineMs,
  renewLockTimeoutMs,
} from './timing.js';

/** What ownership needs of a database; src/database's Database is one. */
export interface Statements {
  /**
   * Rejects at the deadline, which covers the wait for a connection, and then destroys the connection: what became
   * of the statement is unknown then, and it may still be executed later.
   */
  query<Row extends Record<string, unknown>>(
    sql: string,
    params: readonly unknown[],
    options: { readonly timeoutMs: number },
  ): Promise<{ readonly rows: readonly Row[] }>;
}

/** A process that asks for a lease. */
export interface Candidate {
  readonly leaseId: string;
  /** Earlier leases of the same process, from this id up to leaseId, are removed. */
  readonly lowestLeaseId: string;
  /** For display only; both may repeat among members. */
  readonly instanceGuid: string;
  readonly instanceIndex: number;
}

interface MemberRow {
  readonly leaseId: string;
  readonly instanceGuid: string;
  readonly instanceIndex: number;
  /** Epoch ms by the database's clock. */
  readonly joinedAtMs: number;
  readonly expiresInMs: number;
  readonly appsOwned: number;
}

/** The table of leases. Every method rejects when the database did not answer in time. */
export interface MemberStore {
  /** Takes a lease, which others see from its first renewal on. Returns all living lease ids, the new one among them. */
  join(candidate: Candidate): Promise<readonly string[]>;
  /** Returns all living lease ids, or null where this lease is not living any more: it cannot be renewed then. */
  renew(leaseId: string, appsOwned: number): Promise<readonly string[] | null>;
  /** Removes the leases of one process: all ids from the lowest to the highest. */
  leave(lowestLeaseId: string, highestLeaseId: string): Promise<void>;
  /** Living members, oldest first. */
  readMembers(): Promise<readonly MemberRow[]>;
}

/*
 * Each method is one statement, so that a pooler in transaction mode is no obstacle and no transaction can be left
 * open by a member that is frozen in the middle of it. Whether a lease is living is decided by the database's clock in
 * that statement. statement_timestamp() is when the statement arrived, also where it then waited for a lock: a renewal
 * that was held up extends the lease from when it was sent, as the member's own reckoning does.
 *
 * The client's deadline is what bounds a member's wait. For the server's side of it lock_timeout is set for this
 * statement alone (it is read when a lock is waited for). statement_timeout cannot be set that way, because it is armed
 * before the statement runs, and it could not end a stalled commit either.
 */
const limits = `limits as materialized (select set_config('lock_timeout', '${renewLockTimeoutMs}ms', true))`;
const lease = `interval '${leaseMs} milliseconds'`;

/**
 * Members that others should count on. Not one that has joined and not renewed yet (apps_owned = -1): it may never have
 * learned that it has a lease. And not a row that expires later than any lease could, for it was written before the
 * database's clock was set back.
 */
const living = `apps_owned >= 0
  and expires_at > statement_timestamp() and expires_at < statement_timestamp() + 2 * ${lease}`;

/** Skips locked rows: what another member is about to remove or renew is not worth waiting for. */
const joinSql = `
with ${limits},
removed as (
  delete from eventgenerator_member where lease_id in (
    select lease_id from eventgenerator_member
    where expires_at < statement_timestamp() - interval '10 minutes'
      or expires_at > statement_timestamp() + interval '10 minutes'
      or (lease_id >= $2::uuid and lease_id < $1::uuid)
    for update skip locked)
),
joined as (
  insert into eventgenerator_member (lease_id, instance_guid, instance_index, joined_at, expires_at, apps_owned)
  select $1::uuid, $3::varchar, $4::int, statement_timestamp(), statement_timestamp() + ${lease}, -1 from limits
  returning lease_id
)
select lease_id::text from joined
union
select lease_id::text from eventgenerator_member
where ${living} and not (lease_id >= $2::uuid and lease_id < $1::uuid)`;

/** The living are read as they were before the update, the own row among them. */
const renewSql = `
with ${limits},
renewed as (
  update eventgenerator_member
  set expires_at = statement_timestamp() + ${lease}, apps_owned = $2
  from limits
  where lease_id = $1::uuid and expires_at > statement_timestamp()
  returning 1
)
select lease_id::text, exists (select from renewed) as renewed
from eventgenerator_member where (${living}) or lease_id = $1::uuid`;

const leaveSql = `
with ${limits}
delete from eventgenerator_member using limits where lease_id between $1::uuid and $2::uuid`;

const readSql = `
select lease_id::text, instance_guid, instance_index, apps_owned,
  (extract(epoch from joined_at) * 1000)::float8 as joined_at_ms,
  (extract(epoch from expires_at - statement_timestamp()) * 1000)::float8 as expires_in_ms
from eventgenerator_member where ${living}
order by joined_at, lease_id`;

/** Width of the column; a longer name is cut, for it is only shown. */
const guidLength = 255;

export function createMemberStore(statements: Statements): MemberStore {
  return {
    async join({ leaseId, lowestLeaseId, instanceGuid, instanceIndex }) {
      const { rows } = await statements.query<{ lease_id: string }>(
        joinSql,
        [leaseId, lowestLeaseId, instanceGuid.slice(0, guidLength), instanceIndex],
        { timeoutMs: renewDeadlineMs },
      );
      return rows.map((row) => row.lease_id);
    },

    async renew(leaseId, appsOwned) {
      const { rows } = await statements.query<{ lease_id: string; renewed: boolean }>(
        renewSql,
        [leaseId, appsOwned],
        { timeoutMs: renewDeadlineMs },
      );
      return rows.some((row) => row.renewed) ? rows.map((row) => row.lease_id) : null;
    },

    async leave(lowestLeaseId, highestLeaseId) {
      await statements.query(leaveSql, [lowestLeaseId, highestLeaseId], { timeoutMs: leaveDeadlineMs });
    },

    async readMembers() {
      type Row = {
        lease_id: string;
        instance_guid: string;
        instance_index: number;
        apps_owned: number;
        joined_at_ms: number;
        expires_in_ms: number;
      };
      const { rows } = await statements.query<Row>(readSql, [], { timeoutMs: membersReadDeadlineMs });
      return rows.map((row) => ({
        leaseId: row.lease_id,
        instanceGuid: row.instance_guid,
        instanceIndex: row.instance_index,
        joinedAtMs: row.joined_at_ms,
        expiresInMs: row.expires_in_ms,
        appsOwned: row.apps_owned,
      }));
    },
  };
}

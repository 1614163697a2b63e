import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import type { MemberView } from './members-view.js';
import type { LivingLease } from './roster.js';
import {
  leaseMs,
  leaveDeadlineMs,
  membersReadDeadlineMs,
  renewDeadlineMs,
  renewLockTimeoutMs,
  switchAfterMs,
  switchGridMs,
  switchOffsetMs,
} from './timing.js';

/** A process that asks for a lease. */
export interface Candidate {
  readonly leaseId: string;
  /** Earlier leases of the same process, from this id up to leaseId, are removed. */
  readonly lowestLeaseId: string;
  /** For display only; both may repeat among members. */
  readonly instanceGuid: string;
  readonly instanceIndex: number;
}

export type MemberRow = LivingLease & MemberView;

/** All living leases: the members that have counted longest come first. */
export interface LeaseList {
  /** When the statement arrived, by the database's clock; epoch ms. Its times are counted from then. */
  readonly databaseMs: number;
  readonly leases: readonly LivingLease[];
}

/** When a member that leaves ceases to count. */
export interface Leave {
  /** When the statement arrived, by the database's clock; epoch ms. */
  readonly databaseMs: number;
  readonly leavesInMs: number;
}

/** The table of leases. Every method rejects when the database did not respond in time. */
export interface MemberStore {
  /** Takes a lease, which others see from its first renewal on. Returns all living leases, the new one among them. */
  join(candidate: Candidate): Promise<LeaseList>;
  /**
   * Extends a lease, unless its member is leaving. Returns the same, or null where the lease is not living any more: it
   * cannot be renewed then.
   */
  renew(leaseId: string, appsOwned: number): Promise<LeaseList | null>;
  /** Ends the leases of one process, all ids from the lowest to the highest, at a switch. Returns when that is. */
  leave(lowestLeaseId: string, highestLeaseId: string): Promise<Leave>;
  /** Removes them at once. */
  remove(lowestLeaseId: string, highestLeaseId: string): Promise<void>;
  /** The living members, oldest first. */
  readMembers(): Promise<readonly MemberRow[]>;
}

/*
 * Each method is one statement: a connection pooler in transaction mode is no obstacle, and a member that is frozen
 * leaves no transaction open. Whether a lease is living is decided by the database's clock in that statement.
 * statement_timestamp() is when the statement arrived, also where it then waited for a lock: a renewal that was held up
 * extends the lease from when it was sent, as the member itself counts.
 *
 * The client's deadline bounds the wait of a member. lock_timeout bounds that of the server; it is set for this
 * statement alone, because it is read when the wait for a lock begins. statement_timeout cannot be set that way: it is
 * armed before the statement runs, and it could not end a stalled commit either.
 */
const limits = `limits as materialized (select set_config('lock_timeout', '${renewLockTimeoutMs}ms', true))`;
const lease = `interval '${leaseMs} milliseconds'`;
const now = 'statement_timestamp()';
const nowMs = `(extract(epoch from ${now}) * 1000)::float8`;
const seconds = (ms: number) => ms / 1000;

/** The first switch that all members hear of in time, on a grid so that all agree on it. */
const nextSwitch = `to_timestamp(
  ceil((extract(epoch from ${now}) + ${seconds(switchAfterMs - switchOffsetMs)}) / ${seconds(switchGridMs)})
    * ${seconds(switchGridMs)} + ${seconds(switchOffsetMs)})`;

/** ms from now until a time, as a float8; null where there is none. */
const msUntil = (time: string) => `(extract(epoch from ${time} - ${now}) * 1000)::float8`;

/**
 * The members that others should count on. A member that has joined and not renewed yet (apps_owned = -1) is none: it may
 * not know that it has a lease. Nor is a row that expires later than any lease could: it was written before the
 * database's clock was set back.
 */
const living = `apps_owned >= 0 and coalesce(leaves_at > ${now}, true)
  and expires_at > ${now} and expires_at < ${now} + 2 * ${lease}`;

/** A switch that is further ahead than possible comes from before the database's clock was set back. */
const livingColumns = `${nowMs} as "databaseMs", lease_id::text as "leaseId", ${msUntil('leaves_at')} as "leavesInMs",
  case when counts_from < ${now} + ${lease} then ${msUntil('counts_from')} else 0 end as "countsInMs",
  ${msUntil('expires_at')} as "expiresInMs"`;
const rosterOrder = 'order by counts_from, joined_at, lease_id';

/**
 * A member that rejoins counts at once, unless another member has taken over its apps: one that was there before the
 * previous lease ended and has renewed since. In all other cases a member waits for a switch. The row of the previous
 * lease is kept for this, because the response to this statement may be lost and another attempt made.
 *
 * Locked rows are skipped: there is no need to wait for what another statement is about to remove or renew.
 */
const joinSql = (table: string) => `
with ${limits},
previous as (
  select lease_id, least(expires_at, ${now}) as ended_at from ${table}
  where lease_id >= $2::uuid and lease_id < $1::uuid and apps_owned >= 0
  order by lease_id desc limit 1
),
ended as (
  update ${table} set expires_at = ended_at, leaves_at = ended_at from previous
  where ${table}.lease_id in (
    select lease_id from ${table} where lease_id in (select lease_id from previous)
    for update skip locked)
),
removed as (
  delete from ${table} where lease_id in (
    select lease_id from ${table}
    where expires_at < statement_timestamp() - interval '10 minutes'
      or expires_at > statement_timestamp() + interval '10 minutes'
      or (lease_id >= $2::uuid and lease_id < $1::uuid and lease_id not in (select lease_id from previous))
    for update skip locked)
),
joined as (
  insert into ${table}
    (lease_id, instance_guid, instance_index, joined_at, counts_from, expires_at, apps_owned)
  select $1::uuid, $3::varchar, $4::int, ${now},
    case when ended_at is not null and not exists (
      select from ${table}
      where ${living} and joined_at <= ended_at and expires_at - ${lease} > ended_at
    ) then ${now} else ${nextSwitch} end,
    ${now} + ${lease}, -1
  from limits left join previous on true
  returning *
),
roster as (
  select * from joined
  union all
  select * from ${table}
  where ${living} and not (lease_id >= $2::uuid and lease_id < $1::uuid)
)
select ${livingColumns} from roster ${rosterOrder}`;

/** Reads the living leases as they were before the update, the own row among them. */
const renewSql = (table: string) => `
with ${limits},
renewed as (
  update ${table}
  set expires_at = case when leaves_at is null then ${now} + ${lease} else expires_at end, apps_owned = $2
  from limits
  where lease_id = $1::uuid and expires_at > ${now} and coalesce(leaves_at > ${now}, true)
  returning 1
)
select ${livingColumns}, exists (select from renewed) as renewed
from ${table} where (${living}) or lease_id = $1::uuid ${rosterOrder}`;

const leaveSql = (table: string) => `
with ${limits},
leaving as (
  update ${table} set leaves_at = ${nextSwitch} from limits where lease_id between $1::uuid and $2::uuid
  returning ${msUntil('leaves_at')} as leaves_in_ms
)
select ${nowMs} as "databaseMs", coalesce(max(leaves_in_ms), 0) as "leavesInMs" from leaving`;

const removeSql = (table: string) => `
with ${limits}
delete from ${table} using limits where lease_id between $1::uuid and $2::uuid`;

const readSql = (table: string) => `
select ${livingColumns}, instance_guid as "instanceGuid", instance_index as "instanceIndex",
  to_char(joined_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as since,
  round(extract(epoch from expires_at - ${now})::numeric, 1)::float8 as "expiresInSecs", apps_owned as "appsOwned"
from ${table} where ${living}
order by joined_at, lease_id`;

/** Width of the column. A longer name is cut: it is for display only. */
const guidLength = 255;

type LeaseRow = LivingLease & Pick<LeaseList, 'databaseMs'>;

/** The own lease is always among the rows. */
function toLeaseList(rows: readonly LeaseRow[]): LeaseList {
  return { databaseMs: rows[0]?.databaseMs ?? 0, leases: rows };
}

export function createMemberStore(
  database: Pick<Database, 'query'>,
  { member: table }: Pick<TableNames, 'member'>,
): MemberStore {
  const sql = {
    join: joinSql(table),
    renew: renewSql(table),
    leave: leaveSql(table),
    remove: removeSql(table),
    read: readSql(table),
  };
  return {
    async join({ leaseId, lowestLeaseId, instanceGuid, instanceIndex }) {
      const { rows } = await database.query<LeaseRow>(
        sql.join,
        [leaseId, lowestLeaseId, instanceGuid.slice(0, guidLength), instanceIndex],
        { timeoutMs: renewDeadlineMs },
      );
      return toLeaseList(rows);
    },

    async renew(leaseId, appsOwned) {
      const { rows } = await database.query<LeaseRow & { renewed: boolean }>(
        sql.renew,
        [leaseId, appsOwned],
        { timeoutMs: renewDeadlineMs },
      );
      return rows.some((row) => row.renewed) ? toLeaseList(rows) : null;
    },

    async leave(lowestLeaseId, highestLeaseId) {
      const { rows } = await database.query<Leave>(sql.leave, [lowestLeaseId, highestLeaseId], {
        timeoutMs: leaveDeadlineMs,
      });
      return rows[0] ?? { databaseMs: 0, leavesInMs: 0 };
    },

    async remove(lowestLeaseId, highestLeaseId) {
      await database.query(sql.remove, [lowestLeaseId, highestLeaseId], { timeoutMs: leaveDeadlineMs });
    },

    async readMembers() {
      const { rows } = await database.query<MemberRow>(sql.read, [], { timeoutMs: membersReadDeadlineMs });
      return rows;
    },
  };
}

import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import type { Direction } from '../policy/policy.js';
import { memberLength } from './lease-id.js';
import {
  blocksReadDeadlineMs,
  claimDeadlineMs,
  claimLockTimeoutMs,
  longestBlockMs,
  pruneDeadlineMs,
} from './timing.js';

export interface ClaimRequest {
  readonly appId: string;
  readonly direction: Direction;
  /**
   * One for every post (`claimIdOf`), and the same in each attempt to claim it. If the row has it already, an earlier
   * attempt was executed but its response was lost, and the post has not been made.
   */
  readonly claimId: string;
  /** At most one post per app in this time. */
  readonly intervalMs: number;
}

/** How long an app is held back, in ms from now by the database's clock; 0 or less: not at all. */
export interface Blocks {
  readonly coolDownMs: number;
  readonly ignoredOutMs: number;
  readonly ignoredInMs: number;
}

export type ClaimOutcome =
  | { readonly granted: true }
  | {
      readonly granted: false;
      readonly blocks: Blocks;
      /** Until the last post is as old as the interval. */
      readonly postedMs: number;
    };

export interface ClaimCompletion {
  readonly appId: string;
  /** Names the post where it is not recorded yet. */
  readonly claimId: string;
  readonly direction: Direction;
  /** Epoch ms by the scaling engine's clock; null without a cool-down. */
  readonly coolDownUntilMs: number | null;
  /** From now; null without a back-off. */
  readonly ignoredForMs: number | null;
  /** The first attempt to record it has failed: a later post of another member counts more. */
  readonly isLate?: boolean;
}

/** The table of posts, one row per app. Every method rejects when the database did not respond in time. */
export interface TriggerStore {
  claim(request: ClaimRequest): Promise<ClaimOutcome>;
  complete(completion: ClaimCompletion): Promise<void>;
  /** Those of the apps that are held back now. */
  readBlocks(appIds: readonly string[]): Promise<ReadonlyMap<string, Blocks>>;
  /** Removes rows that have held nothing back for a day, some at a time. */
  prune(): Promise<void>;
}

/*
 * All times are compared with the database's clock, which all members share. A stored time that is further ahead than
 * allowed comes from before a clock was set back. It does not count: it would stop scaling of the app for as long.
 */
const now = 'statement_timestamp()';
const ms = (value: string) => `${value} * interval '1 millisecond'`;
const longest = `${now} + ${ms(String(longestBlockMs))}`;
const limits = `limits as materialized (select set_config('lock_timeout', '${claimLockTimeoutMs}ms', true))`;

/** ms from now until a nullable time, as a float8; 0 where there is none. */
const msUntil = (time: string) => `coalesce(extract(epoch from ${time} - ${now}) * 1000, 0)::float8`;

/** The same for a time that holds an app back; 0 also where it does not count. */
const blockMs = (time: string) => `case when ${time} <= ${longest} then ${msUntil(time)} else 0 end`;

const blockColumns = `
  ${blockMs('t.cool_down_until')} as "coolDownMs",
  ${blockMs('t.ignored_out_until')} as "ignoredOutMs",
  ${blockMs('t.ignored_in_until')} as "ignoredInMs"`;

/**
 * All claims of a process have their first half in common (lease-id.ts). A back-off binds other processes only: the
 * process that wrote it knows when to forget it (the rule stopped breaching, the policy changed), the row does not.
 * A rejected claim reads the row as it was when the statement began. It may not be there yet, because another member
 * is inserting it now.
 */
const isOwn = `left(t.posted_by::text, ${memberLength}) = left($2::uuid::text, ${memberLength})`;
const claimSql = (table: string) => `
with ${limits},
claimed as (
  insert into ${table} as t (app_id, posted_by, posted_at)
  select $1::varchar, $2::uuid, ${now} from limits
  on conflict (app_id) do update set posted_by = excluded.posted_by, posted_at = excluded.posted_at
  where (
      t.posted_at <= ${now} - ${ms('$3::float8')}
      or t.posted_at > ${now} + ${ms('$3::float8')}
      or t.posted_by = $2::uuid
    )
    and ${blockMs('t.cool_down_until')} <= 0
    and (${isOwn} or case $4::text when 'out' then ${blockMs('t.ignored_out_until')}
      else ${blockMs('t.ignored_in_until')} end <= 0)
  returning 1
)
select exists (select from claimed) as granted,
  ${msUntil(`t.posted_at + ${ms('$3::float8')}`)} as "postedMs", ${blockColumns}
from (select) as one_row left join ${table} t on t.app_id = $1::varchar`;

/**
 * The row is there unless the trigger was posted without a claim: then this records the post. The last response of the
 * scaling engine counts: a cool-down replaces an older one and ends both back-offs, because an app that was scaled is
 * not at its limit.
 */
const ignoredUntil = `least(${now} + ${ms('$5::float8')}, ${longest})`;
const completeSql = (table: string) => `
with ${limits}
insert into ${table} as t
  (app_id, posted_by, posted_at, cool_down_until, ignored_out_until, ignored_in_until)
select $1::varchar, $2::uuid, ${now},
  case when $4::float8 is not null then least(to_timestamp($4::float8 / 1000), ${longest}) end,
  case when $3::text = 'out' and $5::float8 is not null then ${ignoredUntil} end,
  case when $3::text = 'in' and $5::float8 is not null then ${ignoredUntil} end
from limits
on conflict (app_id) do update set
  cool_down_until = coalesce(excluded.cool_down_until, t.cool_down_until),
  ignored_out_until = case when $3::text = 'out' or $4::float8 is not null
    then excluded.ignored_out_until else t.ignored_out_until end,
  ignored_in_until = case when $3::text = 'in' or $4::float8 is not null
    then excluded.ignored_in_until else t.ignored_in_until end
where not $6::boolean or ${isOwn}`;

const readSql = (table: string) => `
select t.app_id as "appId", ${blockColumns}
from unnest($1::varchar[]) as wanted (app_id) join ${table} t on t.app_id = wanted.app_id
where greatest(t.cool_down_until, t.ignored_out_until, t.ignored_in_until) > ${now}`;

const pruneSql = (table: string) => `
delete from ${table} where app_id in (
  select app_id from ${table} where posted_at < ${now} - interval '1 day'
  limit 1000 for update skip locked)`;

export function createTriggerStore(
  database: Pick<Database, 'query'>,
  { trigger: table }: Pick<TableNames, 'trigger'>,
): TriggerStore {
  const sql = {
    claim: claimSql(table),
    complete: completeSql(table),
    read: readSql(table),
    prune: pruneSql(table),
  };
  return {
    async claim({ appId, direction, claimId, intervalMs }) {
      const { rows } = await database.query<Blocks & { granted: boolean; postedMs: number }>(
        sql.claim,
        [appId, claimId, intervalMs, direction],
        { timeoutMs: claimDeadlineMs },
      );
      const row = rows[0];
      if (row === undefined) throw new Error(`a claim for app ${appId} returned no row`);
      return row.granted ? { granted: true } : { granted: false, blocks: row, postedMs: row.postedMs };
    },

    async complete({ appId, claimId, direction, coolDownUntilMs, ignoredForMs, isLate = false }) {
      await database.query(sql.complete, [appId, claimId, direction, coolDownUntilMs, ignoredForMs, isLate], {
        timeoutMs: claimDeadlineMs,
      });
    },

    async readBlocks(appIds) {
      const { rows } = await database.query<Blocks & { appId: string }>(sql.read, [appIds], {
        timeoutMs: blocksReadDeadlineMs,
      });
      return new Map(rows.map((row) => [row.appId, row]));
    },

    async prune() {
      await database.query(sql.prune, [], { timeoutMs: pruneDeadlineMs });
    },
  };
}

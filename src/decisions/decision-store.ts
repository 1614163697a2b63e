import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import type { OwnersKnowledge } from '../explanation/facts.js';
import { isReasonCode, type ReasonCode } from '../explanation/reason.js';
import {
  breakersOfJson,
  failuresOfJson,
  failuresToJson,
  triggerOfJson,
  triggerToJson,
  type FailureJson,
  type TriggerJson,
} from './row-json.js';

/** What the owner of an app says of its newest decision. */
export interface DecisionRow extends OwnersKnowledge {
  readonly appId: string;
}

export interface DecisionChange {
  readonly appId: string;
  readonly atMs: number;
  /** null: the first that its owner recorded. */
  readonly from: ReasonCode | null;
  readonly to: ReasonCode;
  /** The rule concerned, counted from 1. */
  readonly rule: number | null;
  /** Its newest value, a decimal int64; null where there is none. */
  readonly value: string | null;
  readonly text: string;
}

/** The tables of decisions. Every method rejects when the database does not answer in time. */
export interface DecisionStore {
  /** Writes all or none; at most one row and one change of each app. */
  write(rows: readonly DecisionRow[], changes: readonly DecisionChange[]): Promise<void>;
  /** Removes the rows of apps that nobody evaluates any more, and the changes of those that are gone. */
  remove(appIds: readonly string[], gone: readonly string[]): Promise<void>;
  read(appId: string): Promise<OwnersKnowledge | null>;
  /** Newest first. */
  readChanges(query: ChangesQuery): Promise<readonly DecisionChange[]>;
  /** Rows of one code in the order of their app ids, from after `after` on. */
  list(query: { code: ReasonCode; after: string; limit: number }): Promise<readonly DecisionRow[]>;
  count(): Promise<ReadonlyMap<ReasonCode, number>>;
  /**
   * Removes changes that are too old or too many, of some apps after `after`. Returns where to go on; null: that was
   * the end, and rows that nobody has renewed for a day are gone, too.
   */
  prune(after: string): Promise<string | null>;
}

export interface ChangesQuery {
  readonly appId: string;
  /** Wall-clock ms, both inclusive. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly limit: number;
}

type Names = Pick<TableNames, 'decision' | 'decisionChange'>;

const timeoutMs = 5_000;
const keptDays = 7;
export const keptChangesPerApp = 200;
const appsPerPrune = 100;
const textLength = 300;

const ms = (time: string) => `(extract(epoch from ${time}) * 1000)::float8`;
const time = (milliseconds: string) => `to_timestamp(${milliseconds} / 1000)`;

/** The last trigger that the row had before, without the breaker; null if it was of another version of the policy. */
const lastTriggerBefore = `case when d.policy_tag = excluded.policy_tag and d.last_trigger is not null then json_build_array(
    ${[0, 1, 2, 3, 4].map((place) => `d.last_trigger->${place}`).join(', ')}) end`;

/** In the order of the apps: in different orders, two members that write the same apps could wait for each other. */
const writeSql = ({ decision, decisionChange }: Names) => `
with upserted as (
  insert into ${decision} as d
    (app_id, code, since, until, policy_tag, lease_id, instance_index, owned_since, last_trigger, failures, updated_at)
  select app_id, code, ${time('since')}, ${time('until')}, policy_tag, lease_id::uuid, instance_index,
    ${time('owned_since')}, last_trigger::json, failures::json, statement_timestamp()
  from unnest($1::varchar[], $2::varchar[], $3::float8[], $4::float8[], $5::varchar[], $6::varchar[], $7::int[],
    $8::float8[], $9::text[], $10::text[])
    as r (app_id, code, since, until, policy_tag, lease_id, instance_index, owned_since, last_trigger, failures)
  order by app_id
  on conflict (app_id) do update set code = excluded.code, since = excluded.since, until = excluded.until,
    policy_tag = excluded.policy_tag, lease_id = excluded.lease_id, instance_index = excluded.instance_index,
    owned_since = excluded.owned_since, last_trigger = coalesce(excluded.last_trigger, ${lastTriggerBefore}),
    failures = excluded.failures, updated_at = excluded.updated_at
)
insert into ${decisionChange} (app_id, changed_at, from_code, to_code, rule, value, text)
select app_id, ${time('at')}, from_code, to_code, rule, value, text
from unnest($11::varchar[], $12::float8[], $13::varchar[], $14::varchar[], $15::int[], $16::varchar[], $17::varchar[])
  as c (app_id, at, from_code, to_code, rule, value, text)
order by app_id
on conflict do nothing`;

const columns = `app_id as "appId", code, ${ms('since')} as "sinceMs", ${ms('until')} as "untilMs",
  policy_tag as "policyTag", lease_id::text as "leaseId", instance_index as "instanceIndex",
  ${ms('owned_since')} as "ownedSinceMs", last_trigger as "lastTrigger", failures, ${ms('updated_at')} as "updatedAtMs"`;

const readChangesSql = ({ decisionChange }: Names) => `
select app_id as "appId", ${ms('changed_at')} as "atMs", from_code as "from", to_code as "to", rule, value, text
from ${decisionChange}
where app_id = $1 and changed_at between ${time('$2::float8')} and ${time('$3::float8')}
order by changed_at desc limit $4`;

const listSql = ({ decision }: Names) => `
select ${columns} from ${decision} where code = $1 and app_id > $2 order by app_id limit $3`;

/** Walks from app to app in the index: there may be millions of changes. */
const pruneChangesSql = ({ decisionChange }: Names) => `
with recursive next (app_id) as (
  (select app_id from ${decisionChange} where app_id > $1 order by app_id limit 1)
  union all
  select (select c.app_id from ${decisionChange} c where c.app_id > next.app_id order by c.app_id limit 1)
  from next where next.app_id is not null
),
page as (select app_id from next where app_id is not null limit ${appsPerPrune}),
pruned as (
  delete from ${decisionChange} c using page
  where c.app_id = page.app_id and c.changed_at < greatest(
    statement_timestamp() - interval '${keptDays} days',
    (select n.changed_at from ${decisionChange} n where n.app_id = page.app_id
      order by n.changed_at desc offset ${keptChangesPerApp - 1} limit 1))
)
select max(app_id) as last, count(*)::int as apps from page`;

const pruneRowsSql = ({ decision }: Names) => `
delete from ${decision} where app_id in (
  select app_id from ${decision} where updated_at < statement_timestamp() - interval '1 day'
  limit 1000 for update skip locked)`;

const removeSql = ({ decision, decisionChange }: Names) => `
with decisions as (delete from ${decision} where app_id = any($1::varchar[]))
delete from ${decisionChange} where app_id = any($2::varchar[])`;

/** Codes may be ones that are not known here. */
type Row = Omit<DecisionRow, 'lastTrigger' | 'failures' | 'breakers'> & {
  readonly lastTrigger: TriggerJson | null;
  readonly failures: readonly FailureJson[] | null;
};

function statementsOn(names: Names) {
  return {
    write: writeSql(names),
    remove: removeSql(names),
    read: `select ${columns} from ${names.decision} where app_id = $1`,
    readChanges: readChangesSql(names),
    list: listSql(names),
    count: `select code, count(*)::int as apps from ${names.decision} group by code`,
    pruneChanges: pruneChangesSql(names),
    pruneRows: pruneRowsSql(names),
  };
}

export function createDecisionStore(database: Pick<Database, 'query'>, names: Names): DecisionStore {
  const sql = statementsOn(names);
  return {
    async write(rows, changes) {
      await database.query(sql.write, [...rowColumns(rows), ...changeColumns(changes)], { timeoutMs });
    },

    async remove(appIds, gone) {
      await database.query(sql.remove, [appIds, gone], { timeoutMs });
    },

    async read(appId) {
      const { rows } = await database.query<Row>(sql.read, [appId], { timeoutMs });
      return rows[0] ? toDecisionRow(rows[0]) : null;
    },

    async readChanges({ appId, sinceMs, untilMs, limit }) {
      const params = [appId, sinceMs, untilMs, limit];
      const { rows } = await database.query<DecisionChange>(sql.readChanges, params, { timeoutMs });
      return rows.map((row) => ({ ...row, from: row.from && codeOf(row.from), to: codeOf(row.to) }));
    },

    async list({ code, after, limit }) {
      const { rows } = await database.query<Row>(sql.list, [code, after, limit], { timeoutMs });
      return rows.map(toDecisionRow);
    },

    async count() {
      const { rows } = await database.query<{ code: string; apps: number }>(sql.count, [], {
        timeoutMs,
      });
      const counts = new Map<ReasonCode, number>();
      for (const { code, apps } of rows) counts.set(codeOf(code), (counts.get(codeOf(code)) ?? 0) + apps);
      return counts;
    },

    async prune(after) {
      const { rows } = await database.query<{ last: string | null; apps: number }>(
        sql.pruneChanges,
        [after],
        {
          timeoutMs,
        },
      );
      const { last = null, apps = 0 } = rows[0] ?? {};
      if (last !== null && apps === appsPerPrune) return last;
      await database.query(sql.pruneRows, [], { timeoutMs });
      return null;
    },
  };
}

/** Columns, because one parameter a column is the fastest way into PostgreSQL. */
function rowColumns(rows: readonly DecisionRow[]): unknown[] {
  return [
    rows.map((row) => row.appId),
    rows.map((row) => row.code),
    rows.map((row) => row.sinceMs),
    rows.map((row) => row.untilMs),
    rows.map((row) => row.policyTag),
    rows.map((row) => row.leaseId),
    rows.map((row) => row.instanceIndex),
    rows.map((row) => row.ownedSinceMs),
    rows.map(({ lastTrigger, breakers }) => lastTrigger && triggerToJson(lastTrigger, breakers)),
    rows.map(({ failures }) => (failures.length > 0 ? failuresToJson(failures) : null)),
  ];
}

function changeColumns(changes: readonly DecisionChange[]): unknown[] {
  return [
    changes.map((change) => change.appId),
    changes.map((change) => change.atMs),
    changes.map((change) => change.from),
    changes.map((change) => change.to),
    changes.map((change) => change.rule),
    changes.map((change) => change.value),
    changes.map((change) => change.text.slice(0, textLength)),
  ];
}

function toDecisionRow({ lastTrigger, failures, ...row }: Row): DecisionRow {
  return {
    ...row,
    code: codeOf(row.code),
    lastTrigger: lastTrigger && triggerOfJson(lastTrigger),
    failures: failuresOfJson(failures ?? []),
    breakers: lastTrigger ? breakersOfJson(lastTrigger) : [],
  };
}

/** A newer version may have written a code that is not known here. */
function codeOf(text: string): ReasonCode {
  return isReasonCode(text) ? text : 'unknown';
}

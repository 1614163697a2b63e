import type { Database, Databases, Session } from './database.js';

/**
 * One step, in the order of its list. `policy_json` and `app_metric` belong to the rest of the autoscaler, whose Liquibase scripts fail for ever
 * if somebody else created them first: they are made for a laptop and for tests only. Our own can
 * also be created by an operator, from `ownTablesSql`.
 */
interface Migration {
  readonly table: string;
  /** May be run any number of times. */
  readonly sql: string;
}

/** In appmetrics_db. New steps are appended, old ones are never changed. */
const ownMigrations: readonly Migration[] = [
  {
    table: 'eventgenerator_member',
    // One row per lease, renewed every few seconds: room in its page keeps such an update from growing the table.
    sql: `create table if not exists eventgenerator_member (
  lease_id uuid primary key,
  instance_guid varchar(255) not null,
  instance_index integer not null,
  joined_at timestamptz not null,
  counts_from timestamptz not null,
  leaves_at timestamptz,
  expires_at timestamptz not null,
  apps_owned integer not null default 0
) with (fillfactor = 50);`,
  },
  {
    table: 'eventgenerator_trigger',
    sql: `create table if not exists eventgenerator_trigger (
  app_id varchar(255) primary key,
  posted_at timestamptz not null,
  posted_by uuid not null,
  cool_down_until timestamptz,
  ignored_out_until timestamptz,
  ignored_in_until timestamptz
);`,
  },
];

/** In appmetrics_db, too: what members tell each other of their decisions. Nobody depends on these. */
const decisionMigrations: readonly Migration[] = [
  {
    table: 'eventgenerator_decision',
    // Rows are updated often: room in their page keeps that from growing table and index.
    sql: `create table if not exists eventgenerator_decision (
  app_id varchar(255) primary key,
  code varchar(32) not null,
  since timestamptz not null,
  until timestamptz,
  policy_tag varchar(16) not null,
  lease_id uuid,
  instance_index integer not null,
  owned_since timestamptz not null,
  last_trigger jsonb,
  failures jsonb,
  updated_at timestamptz not null
) with (fillfactor = 70);`,
  },
  {
    table: 'eventgenerator_decision_change',
    sql: `create table if not exists eventgenerator_decision_change (
  app_id varchar(255) not null,
  changed_at timestamptz not null,
  from_code varchar(32),
  to_code varchar(32) not null,
  rule integer,
  value varchar(20),
  text varchar(300) not null,
  primary key (app_id, changed_at)
);`,
  },
];

const policyMigrations: readonly Migration[] = [
  {
    table: 'policy_json',
    sql: `create table if not exists policy_json (
  app_id varchar(50) primary key,
  policy_json json,
  guid varchar(50) not null
);`,
  },
];

const appMetricMigrations: readonly Migration[] = [
  {
    table: 'app_metric',
    sql: `create table if not exists app_metric (
  app_id varchar(255) not null,
  metric_type varchar(100) not null,
  unit varchar(20) not null,
  timestamp bigint not null,
  value varchar
);
create index if not exists index_app_metrics on app_metric (app_id, metric_type, timestamp);`,
  },
];

/** For an operator who must create our tables by hand in appmetrics_db; `ownRights` are needed as well then. */
export const ownTablesSql = [...ownMigrations, ...decisionMigrations].map(({ sql }) => sql).join('\n');

/**
 * - `ownership`: without these there is no elastic ownership
 * - `decisions`: without these members do not know of each other's decisions
 */
export type OwnTableGroup = 'ownership' | 'decisions';

const ownGroups: Readonly<Record<OwnTableGroup, readonly Migration[]>> = {
  ownership: ownMigrations,
  decisions: decisionMigrations,
};
const ownRights = ['select', 'insert', 'update', 'delete'];
const readTimeoutMs = 5_000;

/** The same with the rights that the database's user needs. Rejects when the database does not answer. */
export async function ownTablesSqlFor(appMetricsDb: Pick<Database, 'query'>): Promise<string> {
  const rights = ownRights.join(', ');
  const tables = [...ownMigrations, ...decisionMigrations].map(({ table }) => table).join(', ');
  const { rows } = await appMetricsDb.query<{ grants: string }>(
    `select format('grant ${rights} on ${tables} to %I;', current_user) as grants`,
    [],
    { timeoutMs: readTimeoutMs },
  );
  return [ownTablesSql, ...rows.map(({ grants }) => grants)].join('\n');
}

/** Whether the database's user may do with these tables what it has to. Rejects when they are missing. */
export async function mayUseOwnTables(
  appMetricsDb: Pick<Database, 'query'>,
  group: OwnTableGroup = 'ownership',
): Promise<boolean> {
  const { rows } = await appMetricsDb.query<{ may: boolean }>(
    `select bool_and(has_table_privilege(t, r)) as may from unnest($1::text[]) t, unnest($2::text[]) r`,
    [ownGroups[group].map(({ table }) => table), ownRights],
    { timeoutMs: readTimeoutMs },
  );
  return rows[0]?.may === true;
}

/** Any number that no other application on this database takes for an advisory lock. */
const migrationLock = 7_201_905_314n;
const timeoutMs = 30_000;

/**
 * Creates the tables that are missing and returns their names. With `all`, also those that the rest of the autoscaler
 * owns; `own` names the groups of our own, default both. Several processes may migrate at once; all or none of a
 * database's steps take effect. Where nothing is missing no right to create tables is needed.
 */
export async function migrate(
  databases: Pick<Databases, 'policyDb' | 'appMetricsDb'>,
  {
    all,
    own = ['ownership', 'decisions'],
  }: { readonly all: boolean; readonly own?: readonly OwnTableGroup[] },
): Promise<string[]> {
  const created: string[] = [];
  if (all) {
    created.push(
      ...(await databases.policyDb.transaction((session) => apply(session, policyMigrations), { timeoutMs })),
    );
  }
  const migrations = [...(all ? appMetricMigrations : []), ...own.flatMap((group) => ownGroups[group])];
  created.push(
    ...(await databases.appMetricsDb.transaction((session) => apply(session, migrations), { timeoutMs })),
  );
  return created;
}

async function apply(session: Session, migrations: readonly Migration[]): Promise<string[]> {
  await session.query('select pg_advisory_xact_lock($1)', [migrationLock]);
  const created: string[] = [];
  for (const { table, sql } of migrations) {
    // Asked first: "if not exists" alone is refused to a user without the right to create, even if the table exists.
    const { rows } = await session.query<{ missing: boolean }>('select to_regclass($1) is null as missing', [
      table,
    ]);
    if (rows[0]?.missing !== true) continue;
    await session.query(sql);
    created.push(table);
  }
  return created;
}

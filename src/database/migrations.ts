import type { Mode } from '../config/config.js';
import type { Database, Databases, Session } from './database.js';
import { tableNames, type TableNames } from './table-names.js';

/**
 * One step, in the order of its list. `policy_json` and `app_metric` belong to the rest of the autoscaler, whose Liquibase
 * scripts fail for ever if somebody else created them first: here they are created for a laptop and for tests only. Our
 * own tables can also be created by an operator, from `ownTablesSql`.
 */
interface Migration {
  readonly table: string;
  /** May be run any number of times. */
  readonly sql: string;
}

/**
 * - `ownership`: without these there is no elastic ownership
 * - `decisions`: without these members do not know of each other's decisions
 * - `observed`: app metrics of observers; acting members have none of it
 */
export type OwnTableGroup = 'ownership' | 'decisions' | 'observed';

/** In appmetrics_db. New steps are appended, old ones are never changed. */
const ownMigrations: Readonly<Record<OwnTableGroup, (names: TableNames) => readonly Migration[]>> = {
  ownership: (names) => [
    {
      table: names.member,
      // One row per lease, renewed every few seconds: room in its page keeps such an update from growing the table.
      sql: `create table if not exists ${names.member} (
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
      table: names.trigger,
      sql: `create table if not exists ${names.trigger} (
  app_id varchar(255) primary key,
  posted_at timestamptz not null,
  posted_by uuid not null,
  cool_down_until timestamptz,
  ignored_out_until timestamptz,
  ignored_in_until timestamptz
);`,
    },
  ],
  decisions: (names) => [
    {
      table: names.decision,
      // Rows are updated often: room in their page keeps that from growing table and index, also when they become longer.
      sql: `create table if not exists ${names.decision} (
  since timestamptz not null,
  until timestamptz,
  owned_since timestamptz not null,
  updated_at timestamptz not null,
  lease_id uuid,
  instance_index integer not null,
  app_id varchar(255) primary key,
  code varchar(32) not null,
  policy_tag varchar(16) not null,
  last_trigger json,
  failures json
) with (fillfactor = 50);`,
    },
    {
      table: names.decisionChange,
      sql: `create table if not exists ${names.decisionChange} (
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
  ],
  observed: ({ appMetric }) => [
    {
      table: appMetric,
      // The second index is for the removal of old rows. Its rows come in the order of time, so that it costs little.
      sql: `create table if not exists ${appMetric} (${appMetricColumns});
create index if not exists ${appMetric}_series on ${appMetric} (app_id, metric_type, timestamp);
create index if not exists ${appMetric}_age on ${appMetric} (timestamp);`,
    },
  ],
};

const appMetricColumns = `
  app_id varchar(255) not null,
  metric_type varchar(100) not null,
  unit varchar(20) not null,
  timestamp bigint not null,
  value varchar
`;

/** What members of a mode may have, in the order in which it is created. */
const groupsOf: Readonly<Record<Mode, readonly OwnTableGroup[]>> = {
  act: ['ownership', 'decisions'],
  observe: ['observed', 'ownership', 'decisions'],
};

function ownSteps(mode: Mode, groups = groupsOf[mode]): readonly Migration[] {
  return groups.flatMap((group) => ownMigrations[group](tableNames(mode)));
}

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
    sql: `create table if not exists app_metric (${appMetricColumns});
create index if not exists index_app_metrics on app_metric (app_id, metric_type, timestamp);`,
  },
];

/** For an operator who must create our tables by hand in appmetrics_db; `ownRights` are needed as well then. */
export function ownTablesSql(mode: Mode): string {
  return ownSteps(mode)
    .map(({ sql }) => sql)
    .join('\n');
}

const ownRights = ['select', 'insert', 'update', 'delete'];
const readTimeoutMs = 5_000;

/** The same with the rights that the database's user needs. Rejects when the database does not answer. */
export async function ownTablesSqlFor(appMetricsDb: Pick<Database, 'query'>, mode: Mode): Promise<string> {
  const rights = ownRights.join(', ');
  const tables = ownSteps(mode)
    .map(({ table }) => table)
    .join(', ');
  const { rows } = await appMetricsDb.query<{ grants: string }>(
    `select format('grant ${rights} on ${tables} to %I;', current_user) as grants`,
    [],
    { timeoutMs: readTimeoutMs },
  );
  return [ownTablesSql(mode), ...rows.map(({ grants }) => grants)].join('\n');
}

/** Whether the database's user may do with these tables what it has to. Rejects when they are missing. */
export async function mayUseOwnTables(
  appMetricsDb: Pick<Database, 'query'>,
  mode: Mode,
  group: OwnTableGroup,
  timeoutMs = readTimeoutMs,
): Promise<boolean> {
  const { rows } = await appMetricsDb.query<{ may: boolean }>(
    `select bool_and(has_table_privilege(t, r)) as may from unnest($1::text[]) t, unnest($2::text[]) r`,
    [ownSteps(mode, [group]).map(({ table }) => table), ownRights],
    { timeoutMs },
  );
  return rows[0]?.may === true;
}

/** Any number that no other application on this database takes for an advisory lock. */
const migrationLock = 7_201_905_314n;
const timeoutMs = 30_000;

export interface MigrateOptions {
  readonly mode: Mode;
  /** Also those that the rest of the autoscaler owns. */
  readonly all: boolean;
  /** Groups of our own; default: all that members of this mode have. */
  readonly own?: readonly OwnTableGroup[];
}

/**
 * Creates the tables that are missing and returns their names. Several processes may migrate at once; all or none of a
 * database's steps take effect. Where nothing is missing no right to create tables is needed.
 */
export async function migrate(
  databases: Pick<Databases, 'policyDb' | 'appMetricsDb'>,
  { mode, all, own }: MigrateOptions,
): Promise<string[]> {
  const created: string[] = [];
  if (all) {
    created.push(
      ...(await databases.policyDb.transaction((session) => apply(session, policyMigrations), { timeoutMs })),
    );
  }
  const migrations = [...(all ? appMetricMigrations : []), ...ownSteps(mode, own)];
  created.push(
    ...(await databases.appMetricsDb.transaction((session) => apply(session, migrations), { timeoutMs })),
  );
  return created;
}

/** Removes the tables of observers. Returns the names of those that there were. */
export async function dropObserversTables(appMetricsDb: Pick<Database, 'transaction'>): Promise<string[]> {
  return appMetricsDb.transaction(
    async (session) => {
      await session.query('select pg_advisory_xact_lock($1)', [migrationLock]);
      const dropped: string[] = [];
      for (const { table } of ownSteps('observe')) {
        if (await isMissing(session, table)) continue;
        await session.query(`drop table ${table}`);
        dropped.push(table);
      }
      return dropped;
    },
    { timeoutMs },
  );
}

async function apply(session: Session, migrations: readonly Migration[]): Promise<string[]> {
  await session.query('select pg_advisory_xact_lock($1)', [migrationLock]);
  const created: string[] = [];
  for (const { table, sql } of migrations) {
    // Asked first: "if not exists" alone is refused to a user without the right to create, even if the table exists.
    if (!(await isMissing(session, table))) continue;
    await session.query(sql);
    created.push(table);
  }
  return created;
}

async function isMissing(session: Session, table: string): Promise<boolean> {
  const { rows } = await session.query<{ missing: boolean }>('select to_regclass($1) is null as missing', [
    table,
  ]);
  return rows[0]?.missing === true;
}

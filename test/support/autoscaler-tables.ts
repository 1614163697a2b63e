import type pg from 'pg';
import { randomUUID } from 'node:crypto';

/** The two tables that the rest of the autoscaler owns, as its Liquibase change logs leave them. */
const statements = [
  `create table policy_json (
     app_id varchar(50) primary key,
     policy_json json,
     guid varchar(50) not null
   )`,
  `create table app_metric (
     app_id varchar(255) not null,
     metric_type varchar(100) not null,
     unit varchar(20) not null,
     timestamp bigint not null,
     value varchar
   )`,
  'create index index_app_metrics on app_metric (app_id, metric_type, timestamp)',
];

export async function createAutoscalerTables(pool: Pick<pg.Pool, 'query'>): Promise<void> {
  for (const statement of statements) await pool.query(statement);
}

/** Inserts or replaces an app's policy. `null` and values that are no policy at all are stored as they are. */
export async function insertPolicy(
  pool: Pick<pg.Pool, 'query'>,
  appId: string,
  policy: unknown,
): Promise<void> {
  await insertPolicies(pool, [[appId, policy]]);
}

const batchSize = 5000;

/** Inserts or replaces many policies; every app at most once. */
export async function insertPolicies(
  pool: Pick<pg.Pool, 'query'>,
  policies: readonly (readonly [appId: string, policy: unknown])[],
): Promise<void> {
  for (let at = 0; at < policies.length; at += batchSize) {
    const batch = policies.slice(at, at + batchSize);
    await pool.query(
      `insert into policy_json (app_id, policy_json, guid)
       select * from unnest($1::varchar[], $2::json[], $3::varchar[])
       on conflict (app_id) do update set policy_json = excluded.policy_json, guid = excluded.guid`,
      [
        batch.map(([appId]) => appId),
        batch.map(([, policy]) => (policy === null ? null : JSON.stringify(policy))),
        batch.map(() => randomUUID()),
      ],
    );
  }
}

import type pg from 'pg';
import { insertPolicies } from '../../support/autoscaler-tables.js';
import { appGuid } from '../prepared/apps.js';

export const metricTypes = ['cpu', 'memoryutil', 'throughput'] as const;

export const cpuThreshold = 80;

/** Of the rule on cpu; the shortest that the policy schema allows. The other rules have the default of 120 s. */
export const cpuBreachSecs = 60;

/** A policy as users write them. `edition` makes one that differs from another edition in nothing that matters. */
function policy(edition: number): object {
  return {
    instance_min_count: 1,
    instance_max_count: 20 + edition,
    scaling_rules: [
      {
        metric_type: 'cpu',
        breach_duration_secs: cpuBreachSecs,
        threshold: cpuThreshold,
        operator: '>',
        cool_down_secs: 300,
        adjustment: '+1',
      },
      { metric_type: 'memoryutil', threshold: 95, operator: '>', cool_down_secs: 300, adjustment: '+1' },
      { metric_type: 'throughput', threshold: 1000, operator: '>=', cool_down_secs: 300, adjustment: '+20%' },
    ],
  };
}

/** Gives the first `count` apps a policy, or another edition of it. */
export function insertBenchPolicies(pool: pg.Pool, count: number, edition = 0): Promise<void> {
  return insertPolicies(
    pool,
    Array.from({ length: count }, (_, i) => [appGuid(i), policy(edition)]),
  );
}

/**
 * Fills app_metric with what the eventgenerator would have written for every app with a policy: `points` app metrics
 * of each metric type at distances of stepSecs, the newest one step ago. No rule is in breach.
 */
export async function insertHistory(pool: pg.Pool, points: number, stepSecs: number): Promise<void> {
  // An index made afterwards is made in a fraction of the time.
  await pool.query('drop index index_app_metrics');
  await pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select app_id, metric_type, unit, ((extract(epoch from now()) - step * $2) * 1e9)::bigint, value
     from generate_series(1, $1) as step
     cross join policy_json
     cross join (values ('cpu', '%', '35'), ('memoryutil', '%', '50'), ('throughput', 'rps', '40'))
       as metric (metric_type, unit, value)`,
    [points, stepSecs],
  );
  await pool.query('create index index_app_metrics on app_metric (app_id, metric_type, timestamp)');
  await pool.query('analyze app_metric');
}

/** A history of so many points of one metric type for each of the first `apps` apps, 40 s apart, up to an hour ago. */
export async function insertLongHistory(
  pool: pg.Pool,
  apps: number,
  metricType: string,
  points: number,
): Promise<void> {
  await pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select app_id, $2, '%', ((extract(epoch from now()) - 3600 - step * 40) * 1e9)::bigint, (step % 60)::text
     from generate_series(1, $3) as step cross join unnest($1::text[]) as app_id`,
    [Array.from({ length: apps }, (_, i) => appGuid(i)), metricType, points],
  );
}

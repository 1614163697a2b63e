import type { Database } from '../database/database.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Histories } from '../evaluation/decide.js';
import { pointSeries, type Point } from '../explanation/point-series.js';
import { storedValue } from '../history/app-metric-store.js';
import { breachDurationSecs, metricTypesOf, type AppPolicy } from '../policy/policy.js';
import { msToNs } from '../util/clock.js';

const timeoutMs = 5_000;
const dayMs = 86_400_000;
/** Points for a chart, besides those that rules look at. */
const chartPoints = 60;
const maxPoints = 10_000;
/** Of one policy: each costs a look into the index. */
const maxMetricTypes = 50;

/** Newest first, for each metric type, back to a time. The limit keeps the planner from joining the whole table. */
const readHistoriesSql = (table: string) => `
select wanted.place::int, newest.unit, newest.timestamp, newest.value
from unnest($2::varchar[], $3::bigint[], $4::int[]) with ordinality as wanted (metric_type, since_ns, points, place)
cross join lateral (
  select unit, timestamp, value from ${table}
  where app_id = $1 and metric_type = wanted.metric_type and timestamp between wanted.since_ns and $5
  order by timestamp desc limit wanted.points
) as newest
order by wanted.place, newest.timestamp desc`;

/** Metric types that were collected a day before a time already, and had no value from then on. Limits as above. */
const withoutValuesSql = (table: string) => `
select wanted.app_id, wanted.metric_type
from unnest($1::varchar[], $2::varchar[]) as wanted (app_id, metric_type)
cross join lateral (
  select from ${table} a where a.app_id = wanted.app_id and a.metric_type = wanted.metric_type
    and a.timestamp between $3::bigint - 3600000000000 and $3 + 3600000000000 limit 1
) as collected
left join lateral (
  select true as is_there from ${table} a where a.app_id = wanted.app_id and a.metric_type = wanted.metric_type
    and a.timestamp > $3 and a.timestamp <= $4 and a.value <> '' limit 1
) as value on true
where value.is_there is null`;

/** Says which metric types of a policy are not read, if there are any. */
export function unreadMetricTypes(policy: AppPolicy): string[] {
  const unread = [...metricTypesOf(policy)].slice(maxMetricTypes);
  return unread.length === 0
    ? []
    : [`app metrics of ${unread.length} metric types: no more than ${maxMetricTypes} are read`];
}

/** Reads the app metrics that explain a decision at a time, in wall-clock ms. `table`: where they are. */
export function createRecordedHistories(
  database: Pick<Database, 'query'>,
  table: string,
  settings: EvaluationSettings,
) {
  const selectHistories = readHistoriesSql(table);
  const selectWithoutValues = withoutValuesSql(table);
  return {
    async readHistories(policy: AppPolicy, atMs: number): Promise<Histories> {
      const wanted = wantedHistories(policy, settings, atMs);
      const params = [
        policy.appId,
        wanted.map(({ metricType }) => metricType),
        wanted.map(({ sinceNs }) => sinceNs),
        wanted.map(({ points }) => points),
        msToNs(atMs),
      ];
      const { rows } = await database.query<HistoryRow>(selectHistories, params, { timeoutMs });
      return historiesOf(wanted, rows);
    },

    /** By app id, the metric types of these policies without a value for a day. */
    async readWithoutValues(
      policies: readonly AppPolicy[],
      atMs: number,
    ): Promise<ReadonlyMap<string, readonly string[]>> {
      const wanted = policies.flatMap((policy) =>
        [...metricTypesOf(policy)]
          .slice(0, maxMetricTypes)
          .map((metricType) => ({ appId: policy.appId, metricType })),
      );
      const params = [
        wanted.map(({ appId }) => appId),
        wanted.map(({ metricType }) => metricType),
        msToNs(atMs - dayMs),
        msToNs(atMs),
      ];
      type Row = { app_id: string; metric_type: string };
      const { rows } = await database.query<Row>(selectWithoutValues, params, { timeoutMs });
      const found = new Map<string, string[]>();
      for (const { app_id: appId, metric_type: metricType } of rows) {
        found.set(appId, [...(found.get(appId) ?? []), metricType]);
      }
      return found;
    },
  };
}

interface WantedHistory {
  readonly metricType: string;
  readonly sinceNs: bigint;
  readonly points: number;
}

function wantedHistories({ rules }: AppPolicy, settings: EvaluationSettings, atMs: number): WantedHistory[] {
  const reachMs = new Map<string, number>();
  for (const rule of rules) {
    const twiceMs = 2_000 * breachDurationSecs(rule, settings.defaultBreachDurationSecs);
    reachMs.set(rule.metricType, Math.max(twiceMs, reachMs.get(rule.metricType) ?? 0));
  }
  return [...reachMs].slice(0, maxMetricTypes).map(([metricType, ms]) => ({
    metricType,
    sinceNs: msToNs(atMs - Math.max(ms, 2 * dayMs)),
    // Cycles that are made early bring more points than there are intervals.
    points: Math.min(maxPoints, Math.ceil((2 * ms) / settings.collectionIntervalMs) + chartPoints),
  }));
}

type HistoryRow = { place: number; unit: string; timestamp: string; value: string | null };

function historiesOf(wanted: readonly WantedHistory[], rows: readonly HistoryRow[]): Histories {
  const found = new Map<string, { points: Point[]; unit: string }>();
  for (const { place, unit, timestamp, value } of rows) {
    const metricType = wanted[place - 1]?.metricType ?? '';
    const history = found.get(metricType) ?? { points: [], unit: '' };
    const point = { timestampNs: BigInt(timestamp), value: storedValue(value) };
    history.points.push(point);
    if (history.unit === '' && point.value !== null) history.unit = unit;
    found.set(metricType, history);
  }
  const series = new Map(
    [...found].map(([metricType, { points, unit }]) => [metricType, pointSeries(points, unit)]),
  );
  return { series: (_appId, metricType) => series.get(metricType) };
}

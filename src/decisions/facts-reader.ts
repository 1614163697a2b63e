import type { Mode, StaticPool } from '../config/config.js';
import type { Database } from '../database/database.js';
import { noSuchTable } from '../database/errors.js';
import { tableNames } from '../database/table-names.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Histories } from '../evaluation/decide.js';
import type { Facts, OwnerFacts, OwnersKnowledge, Pauses, PolicyFacts } from '../explanation/facts.js';
import { policyLimits } from '../policy/policy-limits.js';
import { pointSeries, type Point } from '../explanation/point-series.js';
import { storedValue } from '../history/app-metric-store.js';
import { createMemberStore } from '../ownership/member-store.js';
import { ownerOf } from '../ownership/owner-of.js';
import { createTriggerStore } from '../ownership/trigger-store.js';
import { breachDurationSecs, type AppPolicy } from '../policy/policy.js';
import { readPolicy } from '../policy/policy-store.js';
import { fnv1a32 } from '../util/hash.js';
import { msToNs, type Clock } from '../util/clock.js';
import { errorCode, errorText } from '../util/errors.js';
import { createDecisionStore, type DecisionChange } from './decision-store.js';

/** What a running member knows without a database. */
export interface LocalFacts {
  /** Of this process; null before the first and with static ownership. */
  leaseId(): string | null;
  /** null: not an app of ours, or not evaluated yet. */
  knowledgeOf(appId: string): OwnersKnowledge | null;
  pausesOf(appId: string): Pauses;
}

export interface FactsReaderOptions {
  /** Whose tables are read: those of acting members or of observers. */
  readonly mode: Mode;
  readonly policyDb: Pick<Database, 'stream'>;
  readonly appMetricsDb: Pick<Database, 'query'>;
  readonly pool: { readonly mode: 'static' | 'elastic'; readonly static: StaticPool | null };
  readonly clock: Pick<Clock, 'now'>;
  readonly settings: EvaluationSettings;
  readonly evaluationIntervalMs: number;
  /** null in a command, which is no member. */
  readonly local: LocalFacts | null;
}

export interface FactsReader {
  /** Never rejects: what cannot be read is `missing`. A time is wall-clock ms in the past; default now. */
  read(appId: string, atMs?: number): Promise<Facts>;
}

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

/** Metric types that were collected a day ago already, and have had no value since. */
const withoutValuesSql = (table: string) => `
select metric_type from unnest($2::varchar[]) as wanted (metric_type)
where exists (select from ${table} a where a.app_id = $1 and a.metric_type = wanted.metric_type
    and a.timestamp between $3::bigint - 3600000000000 and $3 + 3600000000000)
  and not exists (select from ${table} a where a.app_id = $1 and a.metric_type = wanted.metric_type
    and a.timestamp > $3 and a.value <> '')`;

/** Reads what explains an app's decision from the databases, and from the memory of this member where it owns the app. */
export function createFactsReader(options: FactsReaderOptions): FactsReader {
  const { appMetricsDb, clock, pool, local } = options;
  const names = tableNames(options.mode);
  const members = createMemberStore(appMetricsDb, names);
  const triggers = createTriggerStore(appMetricsDb, names);
  const decisions = createDecisionStore(appMetricsDb, names);
  const sql = {
    histories: readHistoriesSql(names.appMetric),
    withoutValues: withoutValuesSql(names.appMetric),
  };

  async function readHistories(policy: AppPolicy, atMs: number): Promise<Histories> {
    const wanted = wantedHistories(policy, options.settings, atMs);
    const { rows } = await appMetricsDb.query<HistoryRow>(
      sql.histories,
      [
        policy.appId,
        wanted.map(({ metricType }) => metricType),
        wanted.map(({ sinceNs }) => sinceNs),
        wanted.map(({ points }) => points),
        msToNs(atMs),
      ],
      { timeoutMs },
    );
    return historiesOf(wanted, rows);
  }

  async function readWithoutValues({ appId, rules }: AppPolicy, atMs: number): Promise<readonly string[]> {
    const metricTypes = [...new Set(rules.map(({ metricType }) => metricType))].slice(0, maxMetricTypes);
    const params = [appId, metricTypes, msToNs(atMs - dayMs)];
    const { rows } = await appMetricsDb.query<{ metric_type: string }>(sql.withoutValues, params, {
      timeoutMs,
    });
    return rows.map((row) => row.metric_type);
  }

  async function readPauses(appId: string): Promise<Pauses> {
    const blocks = (await triggers.readBlocks([appId])).get(appId);
    const until = (forMs: number | undefined) => (forMs && forMs > 0 ? clock.now() + forMs : null);
    return {
      coolDownUntilMs: until(blocks?.coolDownMs),
      ignoredOutUntilMs: until(blocks?.ignoredOutMs),
      ignoredInUntilMs: until(blocks?.ignoredInMs),
    };
  }

  async function readOwner(appId: string): Promise<OwnerFacts | 'nobody'> {
    if (pool.mode === 'static') return staticOwner(appId, pool.static, local);
    const owner = ownerOf(appId, await members.readMembers());
    if (!owner) return 'nobody';
    const { leaseId, instanceGuid, instanceIndex } = owner;
    return { leaseId, instanceGuid, instanceIndex, isMe: local ? leaseId === local.leaseId() : null };
  }

  /** In the past only what was written down counts. */
  async function readPast(appId: string, atMs: number): Promise<OwnersKnowledge | null> {
    const [change] = await decisions.readChanges({ appId, sinceMs: 0, untilMs: atMs, limit: 1 });
    return change ? pastKnowledge(change) : null;
  }

  return {
    async read(appId, askedMs) {
      const missing: string[] = [];
      const attempt = async <T>(what: string, work: Promise<T>): Promise<T | null> =>
        work.catch((error: unknown) => {
          missing.push(`${what}: ${whyMissing(error, local === null)}`);
          return null;
        });
      const atMs = askedMs ?? clock.now();
      const isPast = askedMs !== undefined;
      const own = isPast ? null : (local?.knowledgeOf(appId) ?? null);
      const isShared = pool.mode === 'elastic';
      const [policy, owner, pauses, row] = await Promise.all([
        attempt('policy_db', readPolicyFacts(options.policyDb, appId)),
        isPast ? null : attempt('who owns the app', readOwner(appId)),
        own && local
          ? local.pausesOf(appId)
          : isPast || !isShared
            ? null
            : attempt('cool-downs', readPauses(appId)),
        own ?? attempt('what the owner decided', isPast ? readPast(appId, atMs) : decisions.read(appId)),
      ]);
      if (isPast) missing.push('cool-downs and owners of the past are not kept, only decisions that changed');
      else if (!isShared && !own)
        missing.push('cool-downs and back-offs: only the owner of the app knows them');
      const usable = policy?.kind === 'usable' ? policy.policy : null;
      const [histories, withoutValues] = await Promise.all([
        usable && attempt('app metrics', readHistories(usable, atMs)),
        usable && attempt('app metrics of a day', readWithoutValues(usable, atMs)),
      ]);
      return {
        appId,
        isObserver: options.mode === 'observe',
        atMs,
        policy: policy ?? { kind: 'unknown' },
        histories,
        withoutValues: withoutValues ?? [],
        pauses,
        owner,
        knowledge: row,
        knownBy: row === null ? null : own ? 'owner' : 'table',
        missing,
        evaluationIntervalMs: options.evaluationIntervalMs,
      };
    },
  };
}

/** Addresses and names in errors of a database are for operators, not for clients of the API. */
function whyMissing(error: unknown, isOperator: boolean): string {
  if (errorCode(error) === noSuchTable) return 'the table is missing; `eventgenerator migrate` creates it';
  return isOperator ? errorText(error) : 'the database does not answer';
}

async function readPolicyFacts(policyDb: Pick<Database, 'stream'>, appId: string): Promise<PolicyFacts> {
  const found = await readPolicy(policyDb, appId);
  if (!found) return { kind: 'none' };
  const { stored, text } = found;
  if (stored.kind === 'broken') return stored;
  return { kind: 'usable', policy: stored.policy, ...policyLimits(text) };
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

function staticOwner(appId: string, numbers: StaticPool | null, local: LocalFacts | null): OwnerFacts {
  const { totalInstances, instanceIndex } = numbers ?? { totalInstances: 1, instanceIndex: 0 };
  const index = fnv1a32(appId) % totalInstances;
  return {
    instanceIndex: index,
    leaseId: null,
    instanceGuid: null,
    isMe: local ? index === instanceIndex : null,
  };
}

function pastKnowledge({ atMs, to }: DecisionChange): OwnersKnowledge {
  return {
    code: to,
    sinceMs: atMs,
    untilMs: null,
    policyTag: '',
    ownedSinceMs: atMs,
    leaseId: null,
    instanceIndex: -1,
    updatedAtMs: atMs,
    lastTrigger: null,
    failures: [],
    breakers: [],
  };
}

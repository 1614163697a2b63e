import type { MetricOutcome } from '../../src/collection/pool/job.js';
import { migrate } from '../../src/database/migrations.js';
import { tableNames } from '../../src/database/table-names.js';
import { DecisionRecorder } from '../../src/decisions/decision-recorder.js';
import {
  createDecisionStore,
  type DecisionChange,
  type DecisionStore,
} from '../../src/decisions/decision-store.js';
import type { Decision } from '../../src/evaluation/decision.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { openTestDatabases } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import type { TestDatabase } from '../support/postgres.js';
import type { Benchmark, BenchmarkContext, Figure } from './benchmark.js';
import { quantile } from './figures.js';
import { appGuid } from './prepared/apps.js';
import { sharedPostgres } from './processes/bench-postgres.js';
import { metricTypes } from './scene/policies.js';

const intervalSecs = 40;
/** As the writer of decisions takes them. */
const rowsPerStatement = 2_000;
/** As large as the table may become. */
const target = { atMost: 20 };

/** What the table of decisions costs when as much changes as can. Seconds pass as fast as the database answers. */
export const decisions: Benchmark = {
  name: 'decisions',
  describe: 'size of the table of decisions, and its statements, while all decisions of 50,000 apps change',
  async run(context) {
    const postgres = await sharedPostgres(context);
    const database = await postgres.createDatabase();
    const databases = await openTestDatabases(database.url);
    try {
      await migrate(databases, { mode: 'act', all: false, own: ['decisions'] });
      const store = createDecisionStore(databases.appMetricsDb, tableNames('act'));
      return { figures: await measure(context, store, database) };
    } finally {
      await databases.close();
      await database.drop();
    }
  },
};

async function measure(
  context: BenchmarkContext,
  store: DecisionStore,
  database: TestDatabase,
): Promise<Figure[]> {
  const fleet = createFleet(context.quick ? 2_000 : 50_000);
  const figures: Figure[] = [];
  const times: number[] = [];
  const play = async (name: string, intervals: number, act: Act, kept?: typeof target) => {
    context.progress(`decisions: ${name}, ${intervals} intervals`);
    for (let second = 0; second < intervals * intervalSecs; second++) {
      const { rows, changes } = await fleet.second(act);
      const startedMs = performance.now();
      if (rows.length + changes.length > 0) await store.write(rows, changes);
      times.push(performance.now() - startedMs);
    }
    const megabytes = await sizeMb(database);
    figures.push({ name: `${name}_mb`, value: megabytes, ...(kept && { target: kept }) });
  };
  await play('written_once', 2, calm, target);
  await play('all_changing', 8, changing, target);
  await play('outage_of_log_cache', 4, outage, target);
  await play('all_changing_again', 4, changing, target);
  const listMs = await timeOf(() => store.list({ code: 'at-max', after: '', limit: 1_000 }));
  return [
    ...figures,
    { name: 'statement_p50_ms', value: quantile(times, 0.5) },
    { name: 'statement_p99_ms', value: quantile(times, 0.99) },
    { name: 'list_ms', value: listMs },
  ];
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

async function sizeMb({ pool }: TestDatabase): Promise<number> {
  const sql = `select pg_total_relation_size('eventgenerator_decision') as bytes`;
  const { rows } = await pool.query<{ bytes: string }>(sql);
  return Number(rows[0]?.bytes) / 1e6;
}

/** What happens to an app in one cycle. */
type Act = (recorder: DecisionRecorder, app: AppPolicy, cycle: number) => void;

const rule: ScalingRule = {
  metricType: 'cpu',
  threshold: 80n,
  operator: '>',
  adjustment: '+1',
  breachDurationSecs: 120,
  coolDownSecs: 300,
};
const rules = metricTypes.map((metricType) => ({ ...rule, metricType }));
const notFired: Decision = {
  outcome: 'not-fired',
  verdicts: rules.map((each) => ({ rule: each, reason: 'not-breached' })),
};

function calm(recorder: DecisionRecorder, app: AppPolicy): void {
  recorder.collected(app.appId, new Map());
  recorder.decided(app, notFired);
}

/** In breach and not, by turns; the scaling engine ignores the trigger. */
function changing(recorder: DecisionRecorder, app: AppPolicy, cycle: number): void {
  recorder.collected(
    app.appId,
    outcomesOf(() => ({ kind: 'value', value: 90n, unit: '%' })),
  );
  if (cycle % 2 === 0) return recorder.decided(app, notFired);
  const trigger = {
    app_id: app.appId,
    metric_type: rule.metricType,
    metric_unit: '%',
    breach_duration_secs: 120,
    threshold: 80n,
    operator: '>',
    cool_down_secs: 300,
    adjustment: '+1',
  };
  recorder.decided(app, { outcome: 'fired', rule, trigger, value: 90n });
  recorder.posted(trigger, { kind: 'ignored' });
}

/** Every read and query fails, with a message as long as they usually are. */
function outage(recorder: DecisionRecorder, app: AppPolicy): void {
  const message = `log-cache answered 503 to /api/v1/read/${app.appId}: upstream connect error or disconnect/reset before headers`;
  recorder.collected(
    app.appId,
    outcomesOf(() => ({ kind: 'failed', failure: 'server-error', message })),
  );
  recorder.decided(app, notFired);
}

function outcomesOf(outcome: () => MetricOutcome): Map<string, MetricOutcome> {
  return new Map(metricTypes.map((metricType) => [metricType, outcome()]));
}

/** So many apps, each with a cycle in its own second of the interval. */
function createFleet(count: number) {
  const clock = new ManualClock(Date.now());
  let changes: DecisionChange[] = [];
  const recorder = new DecisionRecorder({
    clock,
    history: { series: () => undefined },
    breakersOf: () => [],
    member: { leaseId: () => '00000000-0000-8000-8000-000000000001', instanceIndex: 0 },
    changed: (change) => changes.push(change),
    newVersion: () => {},
  });
  const apps = Array.from({ length: count }, (_, i) => ({ appId: appGuid(i), version: '1', rules }));
  let second = 0;
  return {
    async second(act: Act) {
      const cycle = Math.floor(second / intervalSecs);
      for (const [i, app] of apps.entries())
        if (i % intervalSecs === second % intervalSecs) act(recorder, app, cycle);
      second++;
      await clock.advance(1_000);
      const taken = changes;
      changes = [];
      return { rows: recorder.takeRows(rowsPerStatement), changes: taken };
    },
  };
}

import type { Benchmark, BenchmarkContext, BenchmarkResult } from './benchmark.js';
import { pause } from './figures.js';
import { appGuid, preparedApp, type PreparedApp } from './prepared/apps.js';
import { expectedAppMetric } from './prepared/expected.js';
import { increase, quantileBetween } from './processes/prometheus-text.js';
import { insertBenchPolicies, metricTypes } from './scene/policies.js';
import { withScene, type Scene } from './scene/scene.js';

const intervalSecs = 20;
const statWindowSecs = 120;
/** A page of log-cache after another: with much more than a data centre's delay it is the delays that are measured. */
const answerDelayMs = 20;

/** One app with very many instances, among others. */
export const largeApp: Benchmark = {
  name: 'large-app',
  describe: 'one app with 500 instances among 1,000: exact, quick, and no burden to the others',
  run(context) {
    const others = context.quick ? 100 : 1_000;
    const instances = context.quick ? 100 : 500;
    context.progress('large-app: setting up');
    return withScene(
      context,
      {
        delayMs: answerDelayMs,
        config: { collectionIntervalSecs: intervalSecs, policyPollerIntervalSecs: 2, statWindowSecs },
        prepare: ({ pool }) => insertBenchPolicies(pool, others),
      },
      (scene) => measure(context, scene, others, instances),
    );
  },
};

const lag = 'autoscaler_eventgenerator_collection_lag_seconds';
const duration = 'autoscaler_eventgenerator_collection_duration_seconds';

async function measure(
  context: BenchmarkContext,
  { eventgenerator, platform, database }: Scene,
  others: number,
  instances: number,
): Promise<BenchmarkResult> {
  await eventgenerator.line('eventgenerator.started', 60_000);
  await pause(intervalSecs * 1000);
  context.progress('large-app: measuring the others alone');
  const alone = await eventgenerator.scrape();
  await pause(intervalSecs * 1000);
  const before = await eventgenerator.scrape();

  context.progress('large-app: measuring with the large one');
  const large = preparedApp(appGuid(others), instances);
  platform.setSpecial([large]);
  await insertBenchPolicies(database.pool, others + 1);
  await pause((2 + 3 * intervalSecs) * 1000);
  const after = await eventgenerator.scrape();
  // For the writer.
  await pause(6_000);
  const rows = await appMetricsOf(database.pool, large);
  const { largeApps } = await platform.counts();

  const aloneMs = quantileBetween(alone, before, lag, 0.99) * 1000;
  const togetherMs = quantileBetween(before, after, lag, 0.99) * 1000;
  const cycles = new Set(rows.map(({ timestampNs }) => timestampNs));
  const wrong = rows.filter((row) => row.value !== expectedAppMetric(large, row, { statWindowSecs }));
  const roundsMs = [...cycles].map((ns) => roundMs(Number(ns / 1_000n) / 1e3, largeApps));
  return {
    figures: [
      { name: 'cycles', value: cycles.size, target: { atLeast: 2 } },
      { name: 'app_metrics', value: rows.length, target: { atLeast: cycles.size * metricTypes.length } },
      { name: 'app_metrics_wrong', value: wrong.length, target: { atMost: 0 } },
      { name: 'longest_round_ms', value: Math.max(...roundsMs), target: { atMost: 1_000 } },
      { name: 'rounds_over_1_s', value: slowerThanOneSecond(), target: { atMost: 0 } },
      { name: 'lag_p99_ms_alone', value: aloneMs },
      { name: 'lag_p99_ms_together', value: togetherMs },
      { name: 'lag_p99_ms_added', value: togetherMs - aloneMs, target: { atMost: 50 } },
    ],
  };

  function slowerThanOneSecond(): number {
    const upTo = (scrape: typeof after) =>
      scrape.buckets(duration).find(({ atMost }) => atMost === 1)?.count ?? NaN;
    return increase(before, after, `${duration}_count`) - (upTo(after) - upTo(before));
  }
}

interface StoredAppMetric {
  readonly metricType: string;
  readonly timestampNs: bigint;
  readonly value: string;
}

async function appMetricsOf(pool: Scene['database']['pool'], app: PreparedApp): Promise<StoredAppMetric[]> {
  const { rows } = await pool.query<{ metric_type: string; timestamp: string; value: string }>(
    'select metric_type, timestamp, value from app_metric where app_id = $1',
    [app.guid],
  );
  return rows.map((row) => ({
    metricType: row.metric_type,
    timestampNs: BigInt(row.timestamp),
    value: row.value,
  }));
}

/** From the cycle's begin, which is its app metrics' timestamp, to the last answer that it was sent. */
function roundMs(beginMs: number, answers: readonly { readonly sentAtMs: number }[]): number {
  const own = answers.filter(
    ({ sentAtMs }) => sentAtMs >= beginMs && sentAtMs < beginMs + (intervalSecs * 1000) / 2,
  );
  return Math.max(...own.map(({ sentAtMs }) => sentAtMs)) - beginMs;
}

import type { BenchmarkContext } from '../benchmark.js';
import { pause } from '../figures.js';
import { appGuid, preparedApp, type PreparedApp } from '../prepared/apps.js';
import type { LogCacheCounts } from '../prepared/log-cache.js';
import type { ArrivedTrigger } from '../prepared/scaling-engine.js';
import { appMetricWrites } from '../processes/bench-postgres.js';
import { increase, quantileBetween } from '../processes/prometheus-text.js';
import { cpuSecsOfMainThread, cpuSecsOfTree, watchMemory } from '../processes/usage.js';
import { insertBenchPolicies, insertHistory } from './policies.js';
import { collectionIntervalMs, instancesPerApp, withScene, type Scene } from './scene.js';

export interface SteadyRun {
  readonly apps: number;
  /** From the start of the process until cycles began in time: at first every app's whole window is read. */
  readonly caughtUpSecs: number;
  /** Length of the measurement. */
  readonly secs: number;
  /** Cycles that ended. */
  readonly cycles: number;
  readonly roundsSkipped: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly roundP50Ms: number;
  /** Of the main thread. The 99th percentile of timers that should fire every 10 ms, and the worst of them. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  readonly residentMaxBytes: number;
  readonly cpuSecs: {
    readonly eventgenerator: number;
    /** Of the eventgenerator's. */
    readonly mainThread: number;
    readonly platform: number;
    readonly postgres: number;
  };
  readonly logCache: LogCacheCounts;
  readonly inserts: { readonly statements: number; readonly rows: number };
  readonly errors: readonly string[];
  readonly breaches: readonly ObservedBreach[];
}

/** An app whose rule on cpu came into breach, and what was stored and posted about it. */
export interface ObservedBreach {
  readonly appId: string;
  /** Its app metrics of cpu, oldest first. */
  readonly points: readonly { readonly timestampNs: bigint; readonly value: number }[];
  /** The first; absent where none arrived. */
  readonly trigger: ArrivedTrigger | undefined;
}

const answerDelayMs = 100;
/** So many apps come into breach, at random times within breachSpanMs from the start of the warm-up. */
const breachingApps = 200;
const breachSpanMs = 40_000;
/** So many apps get a new policy in the middle of the measurement, as somewhere somebody always does. */
const changedPolicies = 50;
const prefill = new URL('../prefill-rings.js', import.meta.url);
const startTimeoutMs = 120_000;
const lag = 'autoscaler_eventgenerator_collection_lag_seconds';

/** Cycles begin in time where 99 % of them are no later than this. */
const inTimeMs = 1_000;
const lookEveryMs = 5_000;
const mostLooks = 24;

/**
 * Runs one eventgenerator with so many apps, lets it collect each at least once, and measures two intervals. Shared by
 * the benchmarks of one invocation.
 */
export function steadyRun(context: BenchmarkContext, apps: number): Promise<SteadyRun> {
  return context.shared(`steady run of ${apps}`, () => {
    context.progress(`${apps} apps: setting up`);
    return withScene(
      context,
      {
        delayMs: answerDelayMs,
        config: { transport: context.transport },
        imports: [prefill],
        prepare: async ({ pool }) => {
          await insertBenchPolicies(pool, apps);
          await insertHistory(pool, 2, collectionIntervalMs / 1000);
        },
      },
      (scene) => measure(context, scene, apps),
    );
  });
}

async function measure(context: BenchmarkContext, scene: Scene, apps: number): Promise<SteadyRun> {
  const { platform, eventgenerator, database } = scene;
  await eventgenerator.line('eventgenerator.started', startTimeoutMs);
  await eventgenerator.line('eventgenerator.warm-up.done', startTimeoutMs);
  const breaching = randomBreaches(apps);
  platform.setSpecial(breaching);
  const intervals = context.quick ? 1 : 2;
  context.progress(`${apps} apps: first cycle of every app`);
  await pause(collectionIntervalMs);
  const caughtUpSecs = await caughtUp(scene);

  context.progress(`${apps} apps: measuring ${intervals} intervals`);
  const before = await readAll(scene);
  const memory = watchMemory(eventgenerator.pid);
  await pause((intervals * collectionIntervalMs) / 2);
  await insertBenchPolicies(database.pool, Math.min(apps, changedPolicies), 1);
  await pause((intervals * collectionIntervalMs) / 2);
  const after = await readAll(scene);
  const residentMaxBytes = memory.stop();
  // The last breaches end at the end of the measurement; what they led to is on its way for a moment.
  await pause(10_000);

  const ms = (secs: number) => secs * 1000;
  const duration = 'autoscaler_eventgenerator_collection_duration_seconds';
  return {
    apps,
    caughtUpSecs,
    secs: (after.atMs - before.atMs) / 1000,
    cycles: increase(before.scrape, after.scrape, `${duration}_count`),
    roundsSkipped: increase(
      before.scrape,
      after.scrape,
      'autoscaler_eventgenerator_collections_skipped_total',
    ),
    lagP50Ms: ms(quantileBetween(before.scrape, after.scrape, lag, 0.5)),
    lagP99Ms: ms(quantileBetween(before.scrape, after.scrape, lag, 0.99)),
    roundP50Ms: ms(quantileBetween(before.scrape, after.scrape, duration, 0.5)),
    // Since the reading before: every reading starts these anew.
    loopDelayP99Ms: ms(after.scrape.sum('nodejs_eventloop_lag_p99_seconds')),
    loopDelayMaxMs: ms(after.scrape.sum('nodejs_eventloop_lag_max_seconds')),
    residentMaxBytes,
    cpuSecs: {
      eventgenerator: after.cpu.eventgenerator - before.cpu.eventgenerator,
      mainThread: after.cpu.mainThread - before.cpu.mainThread,
      platform: after.cpu.platform - before.cpu.platform,
      postgres: after.cpu.postgres - before.cpu.postgres,
    },
    logCache: difference(before.logCache, after.logCache),
    inserts: {
      statements: after.writes.statements - before.writes.statements,
      rows: after.writes.rows - before.writes.rows,
    },
    errors: eventgenerator.errors(),
    breaches: await observedBreaches(scene, breaching),
  };
}

/** Resolves when cycles begin in time, or after two minutes all the same: then the figures will tell. */
async function caughtUp({ eventgenerator }: Scene): Promise<number> {
  let before = await eventgenerator.scrape();
  for (let looks = 0; looks < mostLooks; looks++) {
    const atMs = Date.now();
    await pause(lookEveryMs);
    const after = await eventgenerator.scrape();
    if (quantileBetween(before, after, lag, 0.99) * 1000 <= inTimeMs) {
      return (atMs - eventgenerator.startedAtMs) / 1000;
    }
    before = after;
  }
  return NaN;
}

async function readAll({ postgres, platform, eventgenerator, database }: Scene) {
  const scrape = await eventgenerator.scrape();
  return {
    atMs: performance.now(),
    scrape,
    cpu: {
      eventgenerator: cpuSecsOfTree(eventgenerator.pid),
      mainThread: cpuSecsOfMainThread(eventgenerator.pid),
      platform: cpuSecsOfTree(platform.pid),
      postgres: postgres.cpuSecs(),
    },
    logCache: (await platform.counts()).logCache,
    writes: await appMetricWrites(database.pool),
  };
}

function randomBreaches(apps: number): PreparedApp[] {
  const count = Math.min(breachingApps, Math.floor(apps / 2));
  const nowUs = Date.now() * 1000;
  return Array.from({ length: count }, (_, i) =>
    preparedApp(
      appGuid(Math.floor((i * apps) / count)),
      instancesPerApp,
      nowUs + Math.random() * breachSpanMs * 1000,
    ),
  );
}

async function observedBreaches(
  { database, platform }: Scene,
  breaching: readonly PreparedApp[],
): Promise<ObservedBreach[]> {
  const { triggers } = await platform.counts();
  const { rows } = await database.pool.query<{ app_id: string; timestamp: string; value: string }>(
    `select app_id, timestamp, value from app_metric
     where app_id = any($1) and metric_type = 'cpu' and value <> '' order by timestamp`,
    [breaching.map(({ guid }) => guid)],
  );
  return breaching.map(({ guid }) => ({
    appId: guid,
    points: rows
      .filter(({ app_id }) => app_id === guid)
      .map(({ timestamp, value }) => ({ timestampNs: BigInt(timestamp), value: Number(value) })),
    trigger: triggers.find(({ appId }) => appId === guid),
  }));
}

function difference(before: LogCacheCounts, after: LogCacheCounts): LogCacheCounts {
  return {
    reads: after.reads - before.reads,
    queries: after.queries - before.queries,
    refused: after.refused - before.refused,
    envelopes: after.envelopes - before.envelopes,
    bytes: after.bytes - before.bytes,
  };
}

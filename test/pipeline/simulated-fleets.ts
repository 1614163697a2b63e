import type { Collector } from '../../src/collection/plan/authorized-collector.js';
import { countInstances } from '../../src/collection/plan/instance-count.js';
import type { LogCacheCollector } from '../../src/collection/open-collection.js';
import { runJob } from '../../src/collection/worker/run-job.js';
import type { Config, Mode } from '../../src/config/config.js';
import type { Database, Databases } from '../../src/database/database.js';
import { ownTablesSql } from '../../src/database/migrations.js';
import type { LogCache } from '../../src/log-cache/log-cache.js';
import { nameFilter } from '../../src/log-cache/name-filter.js';
import { observersLogger } from '../../src/observability/observers-logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { openPipeline } from '../../src/pipeline/open-pipeline.js';
import type { PipelineEnds } from '../../src/pipeline/parts.js';
import { readPolicyLimits } from '../../src/policy/policy-store.js';
import { createModelledEngine } from '../../src/scaling-engine/modelled-engine.js';
import { readResponse } from '../../src/scaling-engine/response.js';
import { createReleasers } from '../../src/util/releasers.js';
import type { AppOptions } from '../platform/app-model.js';
import { Apps } from '../platform/apps.js';
import { nanoseconds, type StoredEnvelope } from '../platform/envelope.js';
import { LogCacheStore } from '../platform/log-cache-store.js';
import { ScalingEngine } from '../platform/scaling-engine.js';
import { outcomeAnswer } from '../platform/scaling-engine-server.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { openTestDatabases } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';

/*
 * Whole fleets in simulated time: all parts between log-cache and the scaling engine are real, and so is PostgreSQL.
 * The platform's models answer without threads and sockets, so that half an hour passes in seconds, and the same half
 * hour passes whenever it is asked for.
 */

export interface PlayedApp extends AppOptions {
  readonly policy: object;
}

export interface Scaling {
  readonly appId: string;
  readonly atMs: number;
  readonly instancesAdded: number;
}

export interface Fleet {
  /** What its scaling engine, or the model of one, made of its triggers. */
  readonly scalings: Scaling[];
  readonly log: Recording;
  stop(): Promise<void>;
}

export interface SimulatedFleets {
  readonly clock: ManualClock;
  readonly apps: Apps;
  readonly database: TestDatabase;
  start(mode: Mode): Promise<Fleet>;
  /** From timer to timer. Time stands still while a database has something to do. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export async function simulateFleets(
  configured: Config,
  apps: readonly PlayedApp[],
  { startMs, modes }: { readonly startMs: number; readonly modes: readonly Mode[] },
): Promise<SimulatedFleets> {
  const clock = new ManualClock(startMs);
  const platform = createPlatform(clock, apps);
  const database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await database.pool.query(modes.map(ownTablesSql).join(''));
  await insertPolicies(
    database.pool,
    apps.map(({ guid, policy }) => [guid, policy]),
  );
  // Each time the same, as everything else.
  await database.pool.query('update policy_json set guid = app_id');
  const databases = await openTestDatabases(database.url);
  const pending = new Set<Promise<unknown>>();
  const counted = { ...databases, ...countedDatabases(databases, pending) };

  const quiet = async () => {
    for (let turns = 0; turns < 3; turns = pending.size > 0 ? 0 : turns + 1) {
      await Promise.allSettled(pending);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const advance = async (ms: number) => {
    const untilMs = clock.monotonic() + ms;
    while (clock.monotonic() < untilMs) {
      await clock.advance(Math.min(clock.nextTimerInMs ?? Infinity, untilMs - clock.monotonic()));
      await quiet();
    }
  };

  return {
    clock,
    apps: platform.apps,
    database,
    advance,
    async start(mode) {
      const config = { ...configured, evaluator: { ...configured.evaluator, mode } };
      const fleet = await startFleet(config, clock, platform, counted, advance);
      await quiet();
      return fleet;
    },
    async close() {
      await databases.close();
      await database.drop();
    },
  };
}

async function startFleet(
  config: Config,
  clock: ManualClock,
  platform: SimulatedPlatform,
  databases: Databases,
  advance: (ms: number) => Promise<void>,
): Promise<Fleet> {
  const { mode } = config.evaluator;
  const log = recordingLogger();
  const logger = mode === 'observe' ? observersLogger(log.logger) : log.logger;
  const releasers = createReleasers(logger);
  const scalings: Scaling[] = [];
  const engine =
    mode === 'act' ? platform.engine : modelledEngine(clock, databases.policyDb, platform.collector);
  const context = { clock, logger, metrics: createMetrics(), trust: {} };
  const pipeline = await openPipeline(config, context, releasers, {
    databases,
    logCache: platform.logCache,
    scalingEngine: noted(engine, scalings, clock),
  });
  pipeline.start(releasers);
  return {
    scalings,
    log,
    async stop() {
      let isStopped = false;
      const stopped = releasers.releaseAll().then(() => (isStopped = true));
      while (!isStopped) await advance(100);
      await stopped;
    },
  };
}

type Engine = PipelineEnds['scalingEngine'];

interface SimulatedPlatform {
  readonly apps: Apps;
  readonly collector: Collector;
  readonly logCache: LogCacheCollector;
  readonly engine: Engine;
}

function createPlatform(clock: ManualClock, played: readonly PlayedApp[]): SimulatedPlatform {
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 1, retentionUs: 7_200e6 }, clock);
  for (const app of played) apps.add(app);
  const store = new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 200 });
  const access = logCacheOn(store);
  const collector: Collector = { run: (job) => runJob({ ...job, authorization: null }, access, clock) };
  const engine = new ScalingEngine(apps, clock, 300);
  return {
    apps,
    collector,
    logCache: {
      collector,
      pool: { utilization: () => 0, queueSize: 0 },
      health: { isUp: () => true },
      queries: { isUp: () => true },
      tokens: null,
    },
    engine: {
      async post({ app_id: appId, adjustment, cool_down_secs: coolDownSecs }) {
        const outcome = engine.scale(appId, { adjustment, cool_down_secs: BigInt(coolDownSecs) });
        const { status, body } = outcomeAnswer(appId, outcome);
        return readResponse(Number(status), String(body), 'engine');
      },
    },
  };
}

function modelledEngine(clock: ManualClock, policyDb: Database, collector: Collector): Engine {
  return createModelledEngine({
    clock,
    limitsOf: (appId) => readPolicyLimits(policyDb, appId),
    instancesOf: (appId) => countInstances(collector, clock, appId),
  });
}

function noted(engine: Engine, scalings: Scaling[], clock: ManualClock): Engine {
  return {
    ...engine,
    async post(trigger) {
      const result = await engine.post(trigger);
      if (result.kind === 'scaled') {
        scalings.push({ appId: trigger.app_id, atMs: clock.now(), instancesAdded: result.adjustment });
      }
      return result;
    },
  };
}

/** log-cache's store without a transport in between. */
function logCacheOn(store: LogCacheStore): LogCache {
  return {
    async read({ names, ...request }, take) {
      const types = ['GAUGE'] as const;
      const page = store.read({ ...request, types, descending: true, nameFilter: nameFilter(names) });
      return take({ envelopes: page.map(gauge), bytes: 0 });
    },
    readTimers: () => Promise.reject(new Error('not asked for')),
    async oldest(request, take) {
      const page = store.read({ ...request, limit: 1, types: [], descending: false, nameFilter: '' });
      return take({
        envelopes: page.map(({ timestampUs }) => ({ timestamp: nanoseconds(timestampUs) })),
        bytes: 0,
      });
    },
    async instantQuery({ query, timeSecs }, take) {
      const { result } = store.instantQuery(query, String(timeSecs));
      return take({ samples: result.type === 'vector' ? result.samples : [], bytes: 0 });
    },
  };
}

function gauge({ timestampUs, sourceId, instanceId, tags, body }: StoredEnvelope) {
  if (body.type !== 'GAUGE') throw new Error('not asked for');
  const metrics = Object.entries(body.metrics).map(([name, metric]) => ({ name, ...metric }));
  return { timestamp: nanoseconds(timestampUs), sourceId, instanceId, tags, metrics };
}

/** Databases whose work in progress is in `pending`. */
function countedDatabases(
  databases: Databases,
  pending: Set<Promise<unknown>>,
): Pick<Databases, 'policyDb' | 'appMetricsDb'> {
  const until = <T>(work: Promise<T>): Promise<T> => {
    pending.add(work);
    const done = () => void pending.delete(work);
    work.then(done, done);
    return work;
  };
  const counted = (database: Database): Database => ({
    query: (...args) => until(database.query(...args)),
    transaction: (...args) => until(database.transaction(...args)),
    async *stream<Row extends readonly unknown[]>(...args: Parameters<Database['stream']>) {
      let end = () => {};
      void until(new Promise<void>((resolve) => (end = resolve)));
      try {
        yield* database.stream<Row>(...args);
      } finally {
        end();
      }
    },
    stats: () => database.stats(),
  });
  return { policyDb: counted(databases.policyDb), appMetricsDb: counted(databases.appMetricsDb) };
}

import { createAppCollector } from '../collection/plan/collect-app.js';
import { Coverage } from '../collection/plan/coverage.js';
import { HttpTimerEvidence } from '../collection/plan/http-timer-evidence.js';
import { MissingValuesWatch } from '../collection/plan/missing-values-watch.js';
import type { LogCacheCollector } from '../collection/open-collection.js';
import type { Config } from '../config/config.js';
import type { Database, Databases } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import { createDecisions, type Decisions, type DecisionsReader } from '../decisions/open-decisions.js';
import { recordedCollector, recordedEngine, recordedEvaluator } from '../decisions/recording.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import { createAppMetricStore } from '../history/app-metric-store.js';
import { AppMetricWriter } from '../history/app-metric-writer.js';
import { chartPointsReader, type ReadChartPoints } from '../history/chart-points.js';
import { History } from '../history/history.js';
import type { HistoryQuery, HistoryReader } from '../history/history-reader.js';
import { createLayeredHistoryReader } from '../history/layered-history-reader.js';
import { ObservedTable } from '../history/observed-table.js';
import { createReaderShare } from '../history/reader-share.js';
import { createWarmUp } from '../history/warm-up.js';
import { keepGaugesFresh } from '../observability/fresh-gauges.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { openOwnership, type OwnershipParts } from '../ownership/open-ownership.js';
import type { Ownership } from '../ownership/ownership.js';
import { PolicyPoller } from '../policy/policy-poller.js';
import { createPolicyStore } from '../policy/policy-store.js';
import type { ProcessContext } from '../observability/process-context.js';
import { createBreakerLog } from '../scaling-engine/breaker-log.js';
import { Breakers } from '../scaling-engine/breakers.js';
import { Gates } from '../scaling-engine/gates.js';
import type { ScalingEngineClient } from '../scaling-engine/scaling-engine-client.js';
import { ConcurrencyLimit } from '../collection/plan/concurrency-limit.js';
import { Schedule } from '../schedule/schedule.js';
import { endsWithin, msToNs } from '../util/clock.js';
import type { Releasers } from '../util/releasers.js';
import { Cycles } from './cycles.js';
import { Evaluator, type EvaluatorOptions } from './evaluator.js';
import { countingCollector } from './counting-collector.js';
import { OwnedApps } from './owned-apps.js';
import { createTakeover } from './takeover.js';

/** What the pipeline reads from and posts to. */
export interface PipelineEnds {
  readonly databases: Databases;
  readonly logCache: LogCacheCollector;
  readonly scalingEngine: ScalingEngineClient;
}

export interface Pipeline {
  readonly ownership: OwnershipParts;
  /** Reads the memory of apps that are ours, and the database for all others. */
  readonly historyReader: HistoryReader;
  /** Reads the database alone. */
  readonly readChartPoints: ReadChartPoints;
  readonly decisions: DecisionsReader;
  /** Of this process, for people. */
  breakers(): readonly { readonly name: string; readonly state: string }[];
  /** Whether there are http timers, as far as that can be told. */
  readonly httpTimers: { isUp(): boolean };
  /** Resolves when the policies were read completely for the first time. */
  readonly policiesRead: Promise<void>;
  /** Begins to work. When it is released it hands over, ends what is under way, and writes what waits. */
  start(releasers: Releasers): void;
}

/** How long cycles and posts that are under way may take when the process stops. */
const cyclesDeadlineMs = 1_500;
const flushDeadlineMs = 1_500;
const saveDeadlineMs = 500;
/** Share of appmetrics_db's connections for the API; the lease and the writer need some as well. */
const readersShare = 0.5;

type Parts = Awaited<ReturnType<typeof openParts>>;

/** Opens all that lies between log-cache and the scaling engine. Rejects when a part cannot be built. */
export async function openPipeline(
  config: Config,
  context: ProcessContext,
  releasers: Releasers,
  ends: PipelineEnds,
): Promise<Pipeline> {
  const parts = await openParts(config, context, releasers, ends);
  const { ownership, ownedApps, history, store, httpTimers, policies } = parts;
  const { reader: decisions } = parts.decisions;
  const connections = ends.databases.appMetricsDb.stats().maxOpenConnections;
  const fromDatabase = createReaderShare(
    Math.max(1, Math.floor(connections * readersShare)),
    context.clock,
    (query: HistoryQuery) => store.stream(query),
  );
  return {
    ownership,
    decisions,
    breakers: () => [
      { name: 'Scaling engine', state: parts.evaluator.sharedBreaker },
      { name: 'PromQL queries', state: ends.logCache.queries.isUp() ? 'closed' : 'open' },
    ],
    readChartPoints: chartPointsReader(ends.databases.appMetricsDb, tableNames(config.evaluator.mode)),
    historyReader: createLayeredHistoryReader({
      fromMemory: (query) => (ownedApps.policyOf(query.appId) ? history.range(query) : null),
      fromDatabase,
    }),
    httpTimers,
    policiesRead: policies.firstRead,
    start: (startReleasers) => startParts(parts, context, ends, startReleasers),
  };
}

/**
 * The knot: parts that need each other in a circle. The schedule runs cycles, and a cycle may ask for an earlier run;
 * a cycle asks for the policy of an owned app, and the owned apps fill the schedule and begin takeovers, which end in
 * a cycle. The functions passed here are called after the start only.
 */
async function openParts(config: Config, context: ProcessContext, releasers: Releasers, ends: PipelineEnds) {
  const { aggregator } = config;
  const ownership = await openOwnership(config, context, releasers, () => ownedApps.size);
  const records = createRecords(config, context, ends, ownership.ownership);
  const collection = createCollection(config, context, ends, records.writer);
  const common = {
    ...context,
    ...records,
    settings: evaluationSettings(config),
    cacheSizePerApp: aggregator.metricCacheSizePerApp,
    policyOf: (appId: string) => ownedApps.policyOf(appId),
    policyInForce: (appId: string) => records.policies.policyOf(appId),
  };
  const engine = createEngineState(config, context);
  const decisions = createDecisionParts(config, context, ends, { ...records, ...engine, ownership });
  const { recorder } = decisions;
  const evaluator = createEvaluator(config, {
    ...common,
    ...engine,
    scalingEngine: recordedEngine(ends.scalingEngine, recorder),
    claims: ownership.claims,
  });
  const recorded = recordedEvaluator(evaluator, recorder, common.policyOf);
  const cycles = new Cycles({
    ...common,
    ...collection,
    collector: recordedCollector(collection.collector, recorder),
    evaluator: recorded,
    logger: context.logger.child('rounds'),
    runWithin: (appId, delayMs) => schedule.runWithin(appId, delayMs),
    statWindowSecs: config.defaultStatWindowSecs,
  });
  const schedule = new Schedule({
    ...common,
    run: (appId, isLast) => cycles.run(appId, isLast),
    limit: new ConcurrencyLimit(context.clock, aggregator.metricPollerCount),
    intervalMs: aggregator.collectionIntervalMs,
  });
  const warmUp = createWarmUp({
    ...common,
    isWanted: (appId) => ownedApps.policyOf(appId) !== undefined,
    seed(appId, key, points) {
      records.history.seed(appId, key.metricType, points, key.capacity);
      collection.httpTimers.seed(appId, key.metricType, points);
    },
    seeded: (appId) => cycles.reconsider(appId),
  });
  const takeover = createTakeover({ ...common, ...ownership, warmUp, evaluator });
  const ownedApps = new OwnedApps({
    ...common,
    ownership: ownership.ownership,
    logger: context.logger.child('ownership'),
    schedule,
    evaluator: recorded,
    takeover,
    saveSoon: () => records.writer.saveSoon(),
  });
  const parts = { ownership, decisions, evaluator, cycles, schedule, warmUp, takeover, ownedApps };
  return { ...records, ...collection, ...parts };
}

/** What is remembered and read: histories in memory, app metrics in the database, policies. */
function createRecords(
  { aggregator, evaluator }: Config,
  context: ProcessContext,
  { databases }: PipelineEnds,
  ownership: Ownership,
) {
  const { store, observed } = openAppMetrics(evaluator, context, databases.appMetricsDb);
  return {
    store,
    observed,
    history: new History(context.metrics),
    writer: new AppMetricWriter({ ...context, store, saveIntervalMs: aggregator.saveIntervalMs }),
    policies: new PolicyPoller({
      ...context,
      store: createPolicyStore(databases.policyDb),
      isOurs: (appId) => ownership.owns(appId),
      intervalMs: aggregator.policyPollerIntervalMs,
    }),
  };
}

/** Where app metrics are stored and read: observers have a table of their own, which they prune. */
function openAppMetrics(
  { mode, observedRetentionMs }: Config['evaluator'],
  context: ProcessContext,
  database: Database,
) {
  const store = createAppMetricStore(database, tableNames(mode));
  if (mode === 'act') return { store, observed: null };
  const observed = new ObservedTable({ ...context, database, store, retentionMs: observedRetentionMs });
  return { store: observed, observed };
}

function createCollection(
  { aggregator, evaluator }: Config,
  context: ProcessContext,
  { logCache }: PipelineEnds,
  writer: AppMetricWriter,
) {
  const { clock } = context;
  const logger = context.logger.child('collection');
  const coverage = new Coverage();
  const httpTimers = new HttpTimerEvidence({ ...context, logger });
  const collector = createAppCollector(logCache, clock, { coverage, evidence: httpTimers });
  return {
    httpTimers,
    collector: evaluator.mode === 'observe' ? countingCollector(collector, writer) : collector,
    values: new MissingValuesWatch({
      ...context,
      logger: new RepeatedEvents({ ...context, logger }),
      intervalMs: aggregator.collectionIntervalMs,
      onJump: () => coverage.outage(msToNs(clock.now())),
    }),
  };
}

function createDecisionParts(
  config: Config,
  context: ProcessContext,
  { databases }: PipelineEnds,
  parts: { history: History; ownership: OwnershipParts; gates: Gates; breakers: Breakers },
): Decisions {
  const { history, ownership, gates, breakers } = parts;
  return createDecisions(config, context, {
    databases,
    history,
    ownership: { isElastic: ownership.readMembers !== null, leaseId: () => ownership.leaseId() },
    pausesOf: (appId) => ({
      coolDownUntilMs: gates.coolDownUntilMs(appId),
      ignoredOutUntilMs: gates.backOffUntilMs(appId, 'out'),
      ignoredInUntilMs: gates.backOffUntilMs(appId, 'in'),
    }),
    breakersOf: (appId) => breakers.openFor(appId),
  });
}

/** What is known of the scaling engine by its responses. */
function createEngineState({ circuitBreaker: settings, evaluator }: Config, context: ProcessContext) {
  const listener = createBreakerLog({ ...context, logger: context.logger.child('evaluation') });
  return {
    gates: new Gates({ ...context, evaluationIntervalMs: evaluator.evaluationIntervalMs }),
    breakers: new Breakers({ clock: context.clock, settings, listener }),
  };
}

function createEvaluator(
  config: Config,
  options: Omit<EvaluatorOptions, 'evaluationIntervalMs' | 'mode'>,
): Evaluator {
  const { evaluationIntervalMs, mode } = config.evaluator;
  const logged = { ...options, logger: options.logger.child('evaluation') };
  return new Evaluator({ ...logged, mode, evaluationIntervalMs });
}

/** Releasers run in reverse order: what is handed over first stands last. */
function startParts(
  parts: Parts,
  { clock, logger, metrics }: ProcessContext,
  { logCache }: PipelineEnds,
  releasers: Releasers,
): void {
  const { ownership, ownedApps, decisions, evaluator, cycles, schedule, takeover, writer, policies } = parts;
  const { observed } = parts;
  if (observed) releasers.add('observed app metrics', () => observed.stop());
  releasers.add('app metric writer', () => writer.flush(flushDeadlineMs));
  releasers.add('decision writer', () => decisions.writer.stop());
  releasers.add('warm-up', () => parts.warmUp.stop());
  releasers.add('takeover', () => takeover.stop());
  releasers.add('cycles', async () => {
    const ended = schedule.stop().then(() => cycles.posted());
    await endsWithin(clock, cyclesDeadlineMs, ended);
  });
  releasers.add('policy poller', () => policies.stop());
  const appsByReason = () => countsOf(decisions.recorder.count(), ownedApps.size);
  const sources = { parts: [evaluator, cycles, policies], appsByReason, pool: logCache.pool };
  releasers.add('gauges', keepGaugesFresh({ clock, metrics, ...sources }));
  releasers.add('ownership of apps', async () => {
    // The new owners read what is written by then.
    await endsWithin(clock, saveDeadlineMs, writer.saveNow());
    await ownership.leave();
  });

  observed?.start();
  writer.start();
  decisions.writer.start();
  policies.onChange((changes) => {
    ownedApps.use(changes);
    decisions.writer.remove(changes.removed);
  });
  ownership.ownership.onChange(() => policies.ownershipChanged());
  ownership.ownership.onChange(() =>
    evaluator.heldFor('lease-lost').forEach((appId) => cycles.reconsider(appId)),
  );
  void policies.firstRead.then(() => {
    const { staticShare } = ownership;
    if (staticShare) logger.info('ownership.static-share', { ...staticShare, appsOwned: ownedApps.size });
  });
  policies.start();
  ownership.start();
}

/** All apps that are owned: those that were not evaluated yet are `unknown`. */
function countsOf(recorded: Map<string, number>, owned: number): ReadonlyMap<string, number> {
  const evaluated = [...recorded.values()].reduce((sum, apps) => sum + apps, 0);
  return recorded.set('unknown', (recorded.get('unknown') ?? 0) + Math.max(0, owned - evaluated));
}

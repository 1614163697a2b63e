import { createAppCollector } from '../collection/plan/collect-app.js';
import { Coverage } from '../collection/plan/coverage.js';
import { HttpTimerEvidence } from '../collection/plan/http-timer-evidence.js';
import { MissingValuesWatch } from '../collection/plan/missing-values-watch.js';
import type { LogCacheCollector } from '../collection/open-collection.js';
import type { Config } from '../config/config.js';
import type { Database, Databases } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import { createDecisions, type Decisions } from '../decisions/open-decisions.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import { createAppMetricStore } from '../history/app-metric-store.js';
import { AppMetricWriter } from '../history/app-metric-writer.js';
import { History } from '../history/history.js';
import { ObservedTable } from '../history/observed-table.js';
import { createWarmUp } from '../history/warm-up.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { openOwnership } from '../ownership/open-ownership.js';
import type { Ownership } from '../ownership/ownership.js';
import { PolicyPoller } from '../policy/policy-poller.js';
import { createPolicyStore } from '../policy/policy-store.js';
import type { ProcessContext } from '../observability/process-context.js';
import { Breakers } from '../scaling-engine/breakers.js';
import { Gates } from '../scaling-engine/gates.js';
import { ConcurrencyLimit } from '../collection/plan/concurrency-limit.js';
import { Schedule } from '../schedule/schedule.js';
import { msToNs } from '../util/clock.js';
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
  readonly scalingEngine: EvaluatorOptions['scalingEngine'];
}

/** All that lies between log-cache and the scaling engine. */
export type Parts = Awaited<ReturnType<typeof openParts>>;

/**
 * The knot: parts that need each other in a circle. The schedule runs cycles, and a cycle may ask for an earlier run;
 * a cycle asks for the policy of an owned app, and the owned apps fill the schedule and begin takeovers, which end in
 * a cycle. The functions passed here are called after the start only.
 */
export async function openParts(
  config: Config,
  context: ProcessContext,
  releasers: Releasers,
  ends: PipelineEnds,
) {
  const ownership = await openOwnership(config, context, releasers, () => ownedApps.size);
  const records = createRecords(config, context, ends, ownership.ownership);
  const historiesAreRead = () => takeover.isDone();
  const collection = createCollection(config, context, ends, { ...records, historiesAreRead });
  const common = {
    ...context,
    ...records,
    settings: evaluationSettings(config),
    cacheSizePerApp: config.aggregator.metricCacheSizePerApp,
    policyOf: (appId: string) => ownedApps.policyOf(appId),
    policyInForce: (appId: string) => records.policies.policyOf(appId),
  };
  const engine = createEngineState(config, context);
  const decisions = createDecisions(config, context, { ...ends, ...records, ...engine, ownership });
  const { recorder } = decisions;
  const evaluator = createEvaluator(config, { ...common, ...engine, ...ownership, recorder }, ends);
  const cycles = new Cycles({
    ...common,
    ...collection,
    recorder,
    evaluator,
    logger: context.logger.child('rounds'),
    runWithin: (appId, delayMs) => schedule.runWithin(appId, delayMs),
    statWindowSecs: config.defaultStatWindowSecs,
  });
  const schedule = new Schedule({
    ...common,
    run: (appId, isLast) => cycles.run(appId, isLast),
    limit: new ConcurrencyLimit(context.clock, config.aggregator.metricPollerCount),
    intervalMs: config.aggregator.collectionIntervalMs,
  });
  const warmUp = createWarmUp({
    ...common,
    isWanted: (appId) => ownedApps.policyOf(appId) !== undefined,
    seed(appId, key, points) {
      records.history.seed(appId, key.metricType, points, key.capacity);
      collection.httpTimers.seed(appId, key.metricType, points);
      collection.values.seed(appId, points);
    },
    seeded: (appId) => cycles.reconsider(appId),
  });
  const takeover = createTakeover({ ...common, ...ownership, warmUp, evaluator });
  const ownedApps = new OwnedApps({
    ...common,
    ownership: ownership.ownership,
    logger: context.logger.child('ownership'),
    schedule,
    evaluator,
    takeover,
    saveSoon: () => records.writer.saveSoon(),
  });
  const parts = { ownership, decisions, evaluator, cycles, schedule, warmUp, takeover, ownedApps };
  return { ...records, ...collection, ...engine, ...parts };
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
  { writer, historiesAreRead }: { writer: AppMetricWriter; historiesAreRead: () => boolean },
) {
  const { clock } = context;
  const logger = context.logger.child('collection');
  const coverage = new Coverage();
  const httpTimers = new HttpTimerEvidence({ ...context, logger, historiesAreRead });
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

/** What is known of the scaling engine by its responses. */
function createEngineState({ circuitBreaker: settings, evaluator }: Config, context: ProcessContext) {
  return {
    gates: new Gates({ ...context, evaluationIntervalMs: evaluator.evaluationIntervalMs }),
    breakers: new Breakers({ ...context, logger: context.logger.child('evaluation'), settings }),
  };
}

function createEvaluator(
  { evaluator }: Config,
  options: Omit<EvaluatorOptions, 'scalingEngine' | 'evaluationIntervalMs' | 'mode'> &
    Pick<Decisions, 'recorder'>,
  { scalingEngine }: PipelineEnds,
): Evaluator {
  return new Evaluator({
    ...options,
    ...evaluator,
    logger: options.logger.child('evaluation'),
    scalingEngine: {
      async post(trigger) {
        const result = await scalingEngine.post(trigger);
        options.recorder.posted(trigger, result);
        return result;
      },
    },
  });
}

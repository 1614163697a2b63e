import type { AddressInfo } from 'node:net';
import { endsWithin, msToNs } from './util/clock.js';
import { createAppCollector } from './collection/plan/collect-app.js';
import { createConcurrencyLimit } from './schedule/concurrency-limit.js';
import { Coverage } from './collection/plan/coverage.js';
import { HttpTimerEvidence } from './collection/plan/http-timer-evidence.js';
import { createSchedule } from './schedule/schedule.js';
import { MissingValuesWatch } from './collection/plan/missing-values-watch.js';
import { databaseOptions } from './database/database-options.js';
import { makeFirstContact, type FirstContact } from './database/first-contact.js';
import { openLogCacheCollector } from './collection/open-collection.js';
import { openOwnership } from './ownership/open-ownership.js';
import { readinessChecks } from './pipeline/readiness-checks.js';
import { openScalingEngine } from './scaling-engine/open-scaling-engine.js';
import { openServers } from './http/open-servers.js';
import type { ProcessContext } from './process-context.js';
import type { Config } from './config/config.js';
import { openDatabases } from './database/database.js';
import { registerPoolMetrics } from './database/pool-metrics.js';
import { Evaluator } from './pipeline/evaluator.js';
import { Gates } from './scaling-engine/gates.js';
import { createAppMetricStore } from './history/app-metric-store.js';
import { AppMetricWriter } from './history/app-metric-writer.js';
import { History } from './history/history.js';
import type { HistoryQuery } from './history/history-reader.js';
import { createLayeredHistoryReader } from './history/layered-history-reader.js';
import { createReaderShare } from './history/reader-share.js';
import { createWarmUp } from './history/warm-up.js';
import type { Lifecycle } from './http/health-routes.js';
import { membersRoutes } from './http/members-routes.js';
import type { ServerName } from './http/servers.js';
import { keepGaugesFresh } from './observability/fresh-gauges.js';
import { RepeatedEvents } from './observability/repeated-events.js';
import { PolicyPoller } from './policy/policy-poller.js';
import { createPolicyStore } from './policy/policy-store.js';
import { createReleasers } from './util/releasers.js';
import { createCycles } from './pipeline/cycles.js';
import { Breakers } from './scaling-engine/breakers.js';
import { createTakeover } from './pipeline/takeover.js';
import { createOwnedApps } from './pipeline/owned-apps.js';

export interface Eventgenerator {
  /** Where the servers listen. */
  addresses(): Partial<Record<ServerName, AddressInfo>>;
  /** Resolves when the policies were read completely for the first time, and no database refuses. */
  readonly ready: Promise<void>;
  /** Resolves with the reason when a database has refused from the start for so long that it always will; else never. */
  readonly unusable: Promise<unknown>;
  /** Hands over, finishes or aborts what runs, writes what waits, and lets go of everything. Idempotent; never rejects. */
  stop(): Promise<void>;
}

/** Time that cycles and posts under way have to end by themselves when the process stops. */
const cyclesDeadlineMs = 1_500;
const flushDeadlineMs = 1_500;
const saveDeadlineMs = 500;
/** Of appmetrics_db's connections for answers of the API; the lease and the writer need some as well. */
const readersShare = 0.5;

/**
 * The composition root: builds every part, connects them and starts them in order. Rejects, with everything released
 * again, when a part cannot be built; databases, UAA and log-cache that are away are no reason, they may come back.
 */
export async function startEventgenerator(config: Config, context: ProcessContext): Promise<Eventgenerator> {
  const { clock, logger, metrics } = context;
  const { aggregator } = config;
  const settings = {
    defaultBreachDurationSecs: config.defaultBreachDurationSecs,
    collectionIntervalMs: aggregator.collectionIntervalMs,
  };
  const releasers = createReleasers(logger);
  let hasPolicies = false;
  let isStopping = false;

  try {
    const databases = await openDatabases(
      config.policyDb,
      config.appMetricsDb,
      databaseOptions(context, 'database'),
    );
    releasers.add('databases', () => databases.close());
    registerPoolMetrics(metrics.registry, databases);

    const logCache = await openLogCacheCollector(config, context, releasers);
    const scalingEngine = await openScalingEngine(config, context, releasers);
    const parts = await openOwnership(config, context, releasers, () => workload.size);
    const { ownership, claims } = parts;

    const history = new History(metrics);
    const store = createAppMetricStore(databases.appMetricsDb);
    const writer = new AppMetricWriter({
      store,
      clock,
      logger,
      metrics,
      saveIntervalMs: aggregator.saveIntervalMs,
    });
    const { evaluationIntervalMs } = config.evaluator;
    const evaluator = new Evaluator({
      clock,
      metrics,
      history,
      claims,
      scalingEngine,
      settings,
      evaluationIntervalMs,
      logger: logger.child('evaluation'),
      gates: new Gates({ clock, evaluationIntervalMs }),
      breakers: new Breakers({ clock, settings: config.circuitBreaker }),
    });

    const coverage = new Coverage();
    const evidence = new HttpTimerEvidence({ clock, metrics, logger: logger.child('collection') });
    const cycles = createCycles({
      clock,
      metrics,
      history,
      writer,
      evaluator,
      settings,
      collector: createAppCollector(logCache, clock, { coverage, evidence }),
      values: new MissingValuesWatch({
        clock,
        metrics,
        logger: new RepeatedEvents({ clock, metrics, logger: logger.child('collection') }),
        intervalMs: aggregator.collectionIntervalMs,
        onJump: () => coverage.outage(msToNs(clock.now())),
      }),
      logger: logger.child('rounds'),
      policyOf: (appId) => workload.policyOf(appId),
      policyInForce: (appId) => workload.policyInForce(appId),
      runWithin: (appId, delayMs) => schedule.runWithin(appId, delayMs),
      statWindowSecs: config.defaultStatWindowSecs,
      cacheSizePerApp: aggregator.metricCacheSizePerApp,
    });
    const limit = createConcurrencyLimit(clock, aggregator.metricPollerCount);
    const schedule = createSchedule({
      clock,
      metrics,
      limit,
      run: (appId, isLast) => cycles.run(appId, isLast),
      intervalMs: aggregator.collectionIntervalMs,
    });
    const warmUp = createWarmUp({
      store,
      clock,
      logger,
      metrics,
      isWanted: (appId) => workload.policyOf(appId) !== undefined,
      seed: (appId, key, points) => {
        history.seed(appId, key.metricType, points, key.capacity);
        evidence.seed(appId, key.metricType, points);
      },
      seeded: (appId) => cycles.reconsider(appId),
    });
    const takeover = createTakeover({
      clock,
      logger,
      metrics,
      warmUp,
      evaluator,
      policyOf: (appId) => workload.policyOf(appId),
      readCoolDowns: parts.readCoolDowns,
      handoverMs: parts.handoverMs,
    });
    const workload = createOwnedApps({
      ownership,
      logger: logger.child('ownership'),
      settings,
      metrics,
      schedule,
      history,
      evaluator,
      takeover,
      saveSoon: () => writer.saveSoon(),
      cacheSizePerApp: aggregator.metricCacheSizePerApp,
    });
    const poller = new PolicyPoller({
      store: createPolicyStore(databases.policyDb),
      clock,
      logger,
      metrics,
      intervalMs: aggregator.policyPollerIntervalMs,
    });

    const contacts: FirstContact[] = [];
    const lifecycle = (): Lifecycle => {
      if (isStopping) return 'draining';
      return hasPolicies && contacts.every((contact) => contact.isPromising()) ? 'running' : 'starting';
    };
    const servers = await openServers(config, context, releasers, {
      history: createLayeredHistoryReader({
        fromMemory: (query) => (workload.policyOf(query.appId) ? history.range(query) : null),
        fromDatabase: createReaderShare(
          Math.max(1, Math.floor(databases.appMetricsDb.stats().maxOpenConnections * readersShare)),
          clock,
          (query: HistoryQuery) => store.stream(query),
        ),
      }),
      lifecycle,
      readinessChecks: readinessChecks({ databases, logCache, ownership, httpTimers: evidence }),
      apiModules: [membersRoutes(parts.readMembers, clock)],
    });

    releasers.add('app metric writer', () => writer.flush(flushDeadlineMs));
    releasers.add('warm-up', () => warmUp.stop());
    releasers.add('takeover', () => takeover.stop());
    releasers.add('cycles', async () => {
      await endsWithin(
        clock,
        cyclesDeadlineMs,
        schedule.stop().then(() => cycles.posted()),
      );
    });
    releasers.add('policy poller', () => poller.stop());
    releasers.add('gauges', keepGaugesFresh({ clock, metrics, evaluator, pool: logCache.pool }));
    releasers.add('ownership of apps', async () => {
      // Who takes over reads what is written by then.
      await endsWithin(clock, saveDeadlineMs, writer.saveNow());
      await parts.leave();
    });

    writer.start();
    poller.onSnapshot((policies, { added, changed, removed }) =>
      workload.use(policies, [...added, ...changed, ...removed]),
    );
    ownership.onChange(() => evaluator.heldFor('lease-lost').forEach((appId) => cycles.reconsider(appId)));
    poller.start();
    parts.start();
    const contactOptions = { clock, logger };
    contacts.push(
      makeFirstContact('policy_db', databases.policyDb, contactOptions),
      makeFirstContact('appmetrics_db', databases.appMetricsDb, contactOptions),
    );
    releasers.add('first contact', () => contacts.forEach((contact) => contact.stop()));
    const policiesRead = poller.firstRead.then(() => (hasPolicies = true));
    return {
      addresses: () => servers.addresses(),
      ready: Promise.all([policiesRead, ...contacts.map(({ promising }) => promising)]).then(() => {}),
      unusable: new Promise((resolve) => {
        for (const { refused } of contacts) void refused.then(resolve);
      }),
      stop: () => {
        isStopping = true;
        return releasers.releaseAll();
      },
    };
  } catch (error) {
    await releasers.releaseAll();
    throw error;
  }
}

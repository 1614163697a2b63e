import type { AddressInfo } from 'node:net';
import { countInstances } from './collection/plan/instance-count.js';
import { openLogCacheCollector } from './collection/open-collection.js';
import type { Config } from './config/config.js';
import { openDatabases } from './database/database.js';
import { databaseOptions } from './database/database-options.js';
import { makeFirstContact, type FirstContact } from './database/first-contact.js';
import { registerPoolMetrics } from './database/pool-metrics.js';
import type { Lifecycle } from './http/health-routes.js';
import { decisionsRoutes } from './http/decisions-routes.js';
import { membersRoutes } from './http/members-routes.js';
import { openServers } from './http/open-servers.js';
import { pageRoutes } from './pages/page-routes.js';
import { createPageSource } from './pages/page-source.js';
import type { ServerName } from './http/servers.js';
import { openPipeline } from './pipeline/open-pipeline.js';
import type { PipelineEnds } from './pipeline/parts.js';
import { readinessChecks } from './pipeline/readiness-checks.js';
import { observersLogger } from './observability/observers-logger.js';
import type { ProcessContext } from './observability/process-context.js';
import { readPolicyLimits } from './policy/policy-store.js';
import { createModelledEngine } from './scaling-engine/modelled-engine.js';
import { openScalingEngine } from './scaling-engine/open-scaling-engine.js';
import { createReleasers, type Releasers } from './util/releasers.js';

export interface Eventgenerator {
  /** Where the servers listen. */
  addresses(): Partial<Record<ServerName, AddressInfo>>;
  /** Resolves when the policies were read completely for the first time, and every database has made contact. */
  readonly ready: Promise<void>;
  /** Resolves with the reason when a database has rejected from the start for so long that it always will; else never. */
  readonly unusable: Promise<unknown>;
  /** Hands over, finishes or aborts what runs, writes what waits, and releases everything. Idempotent; never rejects. */
  stop(): Promise<void>;
}

/**
 * The composition root: builds every part, connects them and starts them in order. Rejects, with everything released
 * again, when a part cannot be built. Databases, UAA and log-cache that are away are no reason: they may come back.
 */
export async function startEventgenerator(config: Config, given: ProcessContext): Promise<Eventgenerator> {
  const isObserver = config.evaluator.mode === 'observe';
  const context = isObserver ? { ...given, logger: observersLogger(given.logger) } : given;
  const { clock, logger, metrics } = context;
  const releasers = createReleasers(logger);
  const contacts: FirstContact[] = [];
  let hasPolicies = false;
  let isStopping = false;
  const lifecycle = (): Lifecycle => {
    if (isStopping) return 'draining';
    return hasPolicies && contacts.every((contact) => contact.isPromising()) ? 'running' : 'starting';
  };
  try {
    const options = databaseOptions(context, 'database');
    const databases = await openDatabases(config.policyDb, config.appMetricsDb, options);
    releasers.add('databases', () => databases.close());
    registerPoolMetrics(metrics.registry, databases);
    const logCache = await openLogCacheCollector(config, context, releasers);
    const scalingEngine = await openEngine(config, context, releasers, { databases, logCache });
    const pipeline = await openPipeline(config, context, releasers, { databases, logCache, scalingEngine });
    const { ownership, readMembers } = pipeline.ownership;
    const source = createPageSource({
      ...context,
      ...pipeline,
      readMembers,
      collectionIntervalMs: config.aggregator.collectionIntervalMs,
      isObserver,
    });
    const servers = await openServers(config, context, releasers, {
      history: pipeline.historyReader,
      lifecycle,
      isObserver,
      readinessChecks: readinessChecks({ databases, logCache, ownership, httpTimers: pipeline.httpTimers }),
      apiModules: [membersRoutes(readMembers, clock, isObserver), decisionsRoutes(pipeline.decisions, clock)],
      pages: pageRoutes(source, context),
    });
    pipeline.start(releasers);
    contacts.push(
      makeFirstContact('policy_db', databases.policyDb, context),
      makeFirstContact('appmetrics_db', databases.appMetricsDb, context),
    );
    releasers.add('first contact', () => contacts.forEach((contact) => contact.stop()));
    const policiesRead = pipeline.policiesRead.then(() => (hasPolicies = true));
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

/** An observer has no connection to the scaling engine: a model takes its place. */
async function openEngine(
  config: Config,
  context: ProcessContext,
  releasers: Releasers,
  { databases, logCache }: Omit<PipelineEnds, 'scalingEngine'>,
): Promise<PipelineEnds['scalingEngine']> {
  if (config.evaluator.mode === 'act') return openScalingEngine(config, context, releasers);
  const { clock } = context;
  return createModelledEngine({
    clock,
    limitsOf: (appId) => readPolicyLimits(databases.policyDb, appId),
    instancesOf: (appId) => countInstances(logCache.collector, clock, appId),
  });
}

import type { Clock } from '../clock.js';
import type { FailureKind } from '../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from './cost.js';
import type { CollectionCost, CollectionResult, Failed, MetricOutcome } from './job.js';
import { type Coverage, coversGauges } from './coverage.js';
import type { HttpEvidence } from './http-evidence.js';
import { Look } from './look.js';
import { createQueryBatcher, type QueryBatcher } from './query-batcher.js';
import {
  jobsOf,
  type Presence,
  presenceFromProbe,
  presenceFromRead,
  probeJob,
  type RoundJobs,
  type RoundRequest,
  settleEmpty,
} from './round-outcomes.js';
import { SettledWindows } from './settled-windows.js';
import { trustHttp, withoutValue } from './trust-http.js';

/** What one round found out about one app. */
export interface AppCollection {
  /** One outcome per metric type that the rules need. */
  readonly outcomes: ReadonlyMap<string, MetricOutcome>;
  /** Of queries that several apps share, one app has the whole cost. */
  readonly cost: CollectionCost;
  /** Instances whose gauges were read in this round; 0 where no gauges were needed. For information only. */
  readonly instances: number;
}

export interface AppCollector {
  /** Never rejects. */
  collect(request: RoundRequest): Promise<AppCollection>;
}

/** What the rounds of all apps have in common. */
interface Tools {
  readonly collector: Collector;
  readonly queries: QueryBatcher;
  readonly settledWindows: SettledWindows;
  readonly coverage: Coverage;
  readonly evidence: HttpEvidence;
}

/**
 * Collects apps one by one, but lets those that are due at the same time share queries, and lets each app read on where
 * its round before has left off.
 */
export function createAppCollector(
  collector: Collector,
  clock: Clock,
  { coverage, evidence }: Pick<Tools, 'coverage' | 'evidence'>,
): AppCollector {
  const queries = createQueryBatcher(collector, clock);
  const tools = { collector, queries, settledWindows: new SettledWindows(), coverage, evidence };
  return { collect: (request) => collectApp(request, tools) };
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, where a query
 * came back empty a proof that the app is known, and where there is reason to doubt it one that log-cache holds the
 * whole window. Metric types fail one by one.
 */
async function collectApp(wanted: RoundRequest, tools: Tools): Promise<AppCollection> {
  const { appId } = wanted;
  const httpWindowSecs = tools.coverage.windowSecs(appId, wanted.httpWindowSecs);
  const request = { ...wanted, httpWindowSecs };
  const jobs = jobsOf(request);
  const look = new Look(request, tools.collector);
  const [read, ...answers] = await Promise.all([
    jobs.read && readOn(jobs.read, look, tools),
    ...jobs.questions.map((question) => tools.queries.ask(question)),
  ]);
  const costs = [...(read ? [read.cost] : []), ...answers.map(({ cost }) => cost)];
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    outcomes.set(metricType, gaugeOutcome(metricType, read));
  }

  let presence: Presence | null = presenceFromRead(read);
  let oldestReadNs = read?.kind === 'read' ? read.oldestNs : null;
  if (presence === null && answers.some(({ outcome }) => outcome.kind === 'empty')) {
    const probe = await tools.collector.run(probeJob(request));
    presence = presenceFromProbe(probe);
    if (probe.kind === 'read') oldestReadNs = probe.oldestNs;
    costs.push(probe.cost);
  }
  const settled = jobs.questions.map(({ metricType }, index) => {
    const outcome = answers[index]?.outcome ?? leftOut(metricType);
    return [metricType, settleEmpty(metricType, outcome, presence ?? false)] as const;
  });
  const facts = {
    request,
    fullWindowSecs: wanted.httpWindowSecs,
    oldestReadNs,
    hasTraffic: answers.some(({ outcome }) => outcome.kind === 'value'),
  };
  const trusted = await trustHttp(new Map(settled), facts, { ...tools, look });
  for (const [metricType, outcome] of trusted) outcomes.set(metricType, outcome);

  const cost = sumOfCosts([...costs, look.cost]);
  const failures = [...outcomes.values()].filter((outcome) => outcome.kind === 'failed');
  if (failures.length === 0) tools.coverage.answered(appId, cost.requests);
  else {
    const isLogCaches = failures.some(({ failure }) => logCacheFailures.has(failure));
    tools.coverage.failed(appId, wanted.endNs, isLogCaches);
  }
  return { outcomes, cost, instances: read?.kind === 'read' ? read.instances : 0 };
}

/** Failures that say that log-cache may have lost what it held. */
const logCacheFailures: ReadonlySet<FailureKind> = new Set(['connection', 'server-error']);

/**
 * Reads on where the round before has left off. What was read of a whole window must be what log-cache holds of it: a
 * mean over its last seconds alone, as after a restart of log-cache, says little about the app.
 */
async function readOn(
  job: NonNullable<RoundJobs['read']>,
  look: Look,
  { collector, settledWindows }: Tools,
): Promise<CollectionResult> {
  const settled = settledWindows.of(job);
  const result = await collector.run({ ...job, settled });
  if (result.kind !== 'read') return result;
  const isDoubtful =
    result.fromNs <= job.startNs && result.oldestNs !== null && !coversGauges(result.oldestNs, job);
  const oldestNs = isDoubtful ? await look.oldestNs() : job.startNs;
  if (oldestNs !== null && typeof oldestNs !== 'bigint') return { ...oldestNs, cost: result.cost };
  const isCovered = coversGauges(oldestNs, job);
  settledWindows.keep(job, isCovered ? result.settled : null);
  return isCovered ? result : { ...result, outcomes: withoutValues(result.outcomes) };
}

function withoutValues(outcomes: Readonly<Record<string, MetricOutcome>>): Record<string, MetricOutcome> {
  return Object.fromEntries(
    Object.entries(outcomes).map(([metricType, outcome]) => [
      metricType,
      withoutValue(outcome, 'not-covered'),
    ]),
  );
}

function gaugeOutcome(metricType: string, read: CollectionResult | null): MetricOutcome {
  if (read?.kind === 'failed') return { kind: 'failed', failure: read.failure, message: read.message };
  return (read?.kind === 'read' ? read.outcomes[metricType] : undefined) ?? leftOut(metricType);
}

function leftOut(metricType: string): Failed {
  return { kind: 'failed', failure: 'thread', message: `the collector left ${metricType} out` };
}

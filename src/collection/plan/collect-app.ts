import type { Clock } from '../../util/clock.js';
import type { LogCacheFailureKind } from '../../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from '../pool/cost.js';
import type { CollectionCost, CollectionResult, Failed, MetricOutcome } from '../pool/job.js';
import { type Coverage, coversGauges } from './coverage.js';
import type { HttpTimerEvidence } from './http-timer-evidence.js';
import { OldestProbe } from './oldest-probe.js';
import { createQueryBatcher, type QueryBatcher } from './query-batcher.js';
import type { QueryHealth } from './query-gate.js';
import {
  jobsOf,
  type Presence,
  presenceFromProbe,
  presenceFromRead,
  probeJob,
  type CollectionJobs,
  type CollectionRequest,
  resolveEmpty,
} from './collection-request.js';
import { SettledWindows } from './settled-windows.js';
import { type HttpFacts, verifyHttp, withoutValue } from './verify-http.js';

/** What one cycle found out about one app. */
export interface AppCollection {
  /** One outcome per metric type that the rules need. */
  readonly outcomes: ReadonlyMap<string, MetricOutcome>;
  /** Of queries that several apps share, one app has the whole cost. */
  readonly cost: CollectionCost;
  /** Instances whose gauges were read in this cycle; 0 where no gauges were needed. For information only. */
  readonly instances: number;
}

/** The two parts of a cycle. Neither rejects. */
export interface CollectionHooks {
  readonly gauges: Promise<AppCollection>;
  /** What is asked for in queries, which may come much later; null where no rule needs any. */
  readonly http: Promise<AppCollection> | null;
}

export interface AppCollector {
  collect(request: CollectionRequest): CollectionHooks;
}

/** What the cycles of all apps have in common. */
interface Tools {
  readonly collector: Collector;
  readonly queries: QueryBatcher;
  readonly settledWindows: SettledWindows;
  readonly coverage: Coverage;
  readonly evidence: HttpTimerEvidence;
}

/**
 * Collects apps one by one, but lets those that are due at the same time share queries, and lets each app read on where
 * its cycle before has left off.
 */
export function createAppCollector(
  { collector, queries: health }: { readonly collector: Collector; readonly queries: QueryHealth },
  clock: Clock,
  { coverage, evidence }: Pick<Tools, 'coverage' | 'evidence'>,
): AppCollector {
  const queries = createQueryBatcher(collector, health, clock);
  const tools = { collector, queries, settledWindows: new SettledWindows(), coverage, evidence };
  return { collect: (request) => collectApp(request, tools) };
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, where a query
 * came back empty a proof that the app is known, and where there is reason to doubt it one that log-cache holds the
 * whole window. Metric types fail one by one.
 */
function collectApp(wanted: CollectionRequest, tools: Tools): CollectionHooks {
  const httpWindowSecs = tools.coverage.windowSecs(wanted.appId, wanted.httpWindowSecs);
  const request = { ...wanted, httpWindowSecs };
  const jobs = jobsOf(request);
  const look = new OldestProbe(request, tools.collector);
  const read = jobs.read ? readOn(jobs.read, look, tools) : Promise.resolve(null);
  const gauges = read.then((result) => gaugesIn(jobs, result, look));
  if (jobs.questions.length > 0) {
    const facts = { request, fullWindowSecs: wanted.httpWindowSecs };
    const http = collectHttp(jobs, facts, read, { ...tools, look });
    return { gauges, http: Promise.all([gauges, http]).then((parts) => noteCoverage(wanted, parts, tools)) };
  }
  return { gauges: gauges.then((part) => noteCoverage(wanted, [part], tools)), http: null };
}

function gaugesIn(jobs: CollectionJobs, read: CollectionResult | null, look: OldestProbe): AppCollection {
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    outcomes.set(metricType, gaugeOutcome(metricType, read));
  }
  const cost = sumOfCosts([...(read ? [read.cost] : []), look.takeCost()]);
  return { outcomes, cost, instances: read?.kind === 'read' ? read.instances : 0 };
}

async function collectHttp(
  { questions }: CollectionJobs,
  facts: Pick<HttpFacts, 'request' | 'fullWindowSecs'>,
  gaugesRead: Promise<CollectionResult | null>,
  tools: Tools & { readonly look: OldestProbe },
): Promise<AppCollection> {
  const answers = await Promise.all(questions.map((question) => tools.queries.ask(question)));
  const read = await gaugesRead;
  const costs = answers.map(({ cost }) => cost);
  let presence: Presence | null = presenceFromRead(read);
  let oldestReadNs = read?.kind === 'read' ? read.oldestNs : null;
  if (presence === null && answers.some(({ outcome }) => outcome.kind === 'empty')) {
    const probe = await tools.collector.run(probeJob(facts.request));
    presence = presenceFromProbe(probe);
    if (probe.kind === 'read') oldestReadNs = probe.oldestNs;
    costs.push(probe.cost);
  }
  const settled = questions.map(({ metricType }, index) => {
    const outcome = answers[index]?.outcome ?? leftOut(metricType);
    return [metricType, resolveEmpty(metricType, outcome, presence ?? false)] as const;
  });
  const hasTraffic = answers.some(({ outcome }) => outcome.kind === 'value');
  const outcomes = await verifyHttp(new Map(settled), { ...facts, oldestReadNs, hasTraffic }, tools);
  return { outcomes, cost: sumOfCosts([...costs, tools.look.takeCost()]), instances: 0 };
}

/** Tells whether the cycle was answered as a whole. Returns its last part. */
function noteCoverage(
  { appId, endNs }: CollectionRequest,
  parts: readonly [AppCollection, AppCollection?],
  { coverage }: Tools,
): AppCollection {
  const [first, last = first] = parts;
  const outcomes = [...first.outcomes.values(), ...last.outcomes.values()];
  const failures = outcomes.filter((outcome) => outcome.kind === 'failed');
  if (failures.length > 0) {
    const isLogCaches = failures.some(({ failure }) => logCacheFailures.has(failure));
    coverage.failed(appId, endNs, isLogCaches);
  } else {
    const { requests } = last === first ? first.cost : sumOfCosts([first.cost, last.cost]);
    coverage.answered(appId, requests);
  }
  return last;
}

/** Failures that say that log-cache may have lost what it held. */
const logCacheFailures: ReadonlySet<LogCacheFailureKind> = new Set(['connection', 'server-error']);

/**
 * Reads on where the cycle before has left off. What was read of a whole window must be what log-cache holds of it: a
 * mean over its last seconds alone, as after a restart of log-cache, says little about the app.
 */
async function readOn(
  job: NonNullable<CollectionJobs['read']>,
  look: OldestProbe,
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

import type { Clock } from '../../util/clock.js';
import type { LogCacheFailureKind } from '../../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from '../pool/cost.js';
import type {
  CollectionCost,
  CollectionResult,
  ContainerCounts,
  HttpMetricType,
  MetricOutcome,
} from '../pool/job.js';
import { httpUnits } from '../worker/http-aggregation.js';
import {
  boundsNs,
  httpWindow,
  jobsOf,
  presenceJob,
  type CollectionJobs,
  type CollectionRequest,
} from './collection-request.js';
import type { Coverage } from './coverage.js';
import { coversGauges } from './coverage-rules.js';
import { failureOf } from './failures.js';
import { GaugeCoverage } from './gauge-coverage.js';
import type { HttpTimerEvidence } from './http-timer-evidence.js';
import { OldestProbe } from './oldest-probe.js';
import { QueryBatcher } from './query-batcher.js';
import type { QueryHealth } from './query-gate.js';
import { SettledWindows } from './settled-windows.js';
import { type HttpFacts, verifyHttp, withoutValue } from './verify-http.js';

/** What one cycle found out about one app. */
export interface AppCollection {
  /** One outcome per metric type that the rules need. */
  readonly outcomes: ReadonlyMap<string, MetricOutcome>;
  /** Of the read of gauges; null where there was none. */
  readonly containers: ContainerCounts | null;
  /** Of queries that several apps share, one app has the whole cost. */
  readonly cost: CollectionCost;
}

/** The two parts of a cycle's collection. Neither rejects. */
export interface CollectionParts {
  readonly gauges: Promise<AppCollection>;
  /** What is asked for in queries, which may come much later; null where no rule needs any. */
  readonly http: Promise<AppCollection> | null;
}

export interface AppCollector {
  collect(request: CollectionRequest): CollectionParts;
}

/** What the cycles of all apps share. */
interface Tools {
  readonly collector: Collector;
  readonly queries: QueryBatcher;
  readonly settledWindows: SettledWindows;
  readonly coverage: Coverage;
  readonly gaugeCoverage: GaugeCoverage;
  readonly evidence: HttpTimerEvidence;
}

/** Collects apps one by one. Apps that are due at the same time share queries; each app reads on where its last cycle ended. */
export function createAppCollector(
  { collector, queries: health }: { readonly collector: Collector; readonly queries: QueryHealth },
  clock: Clock,
  { coverage, evidence }: Pick<Tools, 'coverage' | 'evidence'>,
): AppCollector {
  const queries = new QueryBatcher(collector, health, clock);
  const kept = { settledWindows: new SettledWindows(), gaugeCoverage: new GaugeCoverage() };
  const tools = { collector, queries, ...kept, coverage, evidence };
  return { collect: (request) => collectApp(request, tools) };
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, a read for
 * presence where a query found no request, and a probe where it is in doubt that log-cache holds the whole window.
 * Metric types fail one by one.
 */
function collectApp(wanted: CollectionRequest, tools: Tools): CollectionParts {
  const httpWindowSecs = tools.coverage.windowSecs(wanted.appId, wanted.httpWindowSecs);
  const request = { ...wanted, httpWindowSecs };
  const jobs = jobsOf(request);
  const probe = new OldestProbe(request, tools.collector);
  const read = jobs.read ? readOn(jobs.read, probe, tools) : Promise.resolve(null);
  const gauges = read.then((result) => gaugesIn(jobs, result, probe));
  if (jobs.questions.length === 0) {
    return { gauges: gauges.then((part) => noteCoverage(wanted, [part], tools)), http: null };
  }
  const cycle = { request, fullWindowSecs: wanted.httpWindowSecs, isHeld: false, probe, read };
  const http = collectHttp(jobs, cycle, tools);
  return { gauges, http: Promise.all([gauges, http]).then((parts) => noteCoverage(wanted, parts, tools)) };
}

function gaugesIn(jobs: CollectionJobs, read: CollectionResult | null, probe: OldestProbe): AppCollection {
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    const outcome = read?.kind === 'read' ? read.outcomes[metricType] : undefined;
    outcomes.set(metricType, outcome ?? failureOf(read));
  }
  const cost = sumOfCosts([...(read ? [read.cost] : []), probe.takeCost()]);
  return { outcomes, containers: read?.kind === 'read' ? read.containers : null, cost };
}

interface HttpCycle extends Omit<HttpFacts, 'oldestReadNs' | 'hasTraffic'> {
  readonly probe: OldestProbe;
  /** The read of the gauges. */
  readonly read: Promise<CollectionResult | null>;
}

/** If a probe shows that log-cache evicts the beginning of the http window, asks at once for the part that is held. */
async function collectHttp(jobs: CollectionJobs, cycle: HttpCycle, tools: Tools): Promise<AppCollection> {
  const { request, fullWindowSecs, probe } = cycle;
  const whole = await askHttp(jobs, cycle, tools);
  const httpWindowSecs = tools.coverage.windowSecs(request.appId, fullWindowSecs);
  const shorter = { ...request, httpWindowSecs };
  if (httpWindowSecs >= request.httpWindowSecs || !(await probe.shows(boundsNs(httpWindow(shorter))))) {
    return whole;
  }
  const part = await askHttp(jobsOf(shorter), { ...cycle, request: shorter, isHeld: true }, tools);
  return { ...part, cost: sumOfCosts([whole.cost, part.cost]) };
}

async function askHttp(
  { questions }: CollectionJobs,
  cycle: HttpCycle,
  tools: Tools,
): Promise<AppCollection> {
  const askAll = () => Promise.all(questions.map((question) => tools.queries.ask(question)));
  let responses = await askAll();
  const costs = responses.map(({ cost }) => cost);
  let read = await cycle.read;
  let presence = read;
  // A node of log-cache that dies between the read and the query makes a busy app look idle: asked again, it tells.
  const isNews = tools.evidence.hadTraffic(cycle.request.appId);
  const presenceIsKnown = read?.kind === 'read' && read.containerMetricSeen !== null && !isNews;
  if (!presenceIsKnown && responses.some(({ outcome }) => outcome.kind === 'empty')) {
    presence = await tools.collector.run(presenceJob(cycle.request));
    if (presence.kind === 'read') read = presence;
    costs.push(presence.cost);
    // A node that was dead at the query and has come back makes it look idle, too. While timers are missing no zero counts.
    if (isNews && tools.evidence.isUp()) {
      responses = await askAll();
      costs.push(...responses.map(({ cost }) => cost));
    }
  }
  const resolved = new Map<HttpMetricType, MetricOutcome>();
  for (const [index, { metricType }] of questions.entries()) {
    const outcome = responses[index]?.outcome ?? failureOf(null);
    const isEmpty = outcome.kind === 'empty';
    resolved.set(metricType, isEmpty ? emptyOutcome(httpUnits[metricType], presence) : outcome);
  }
  const facts = {
    ...cycle,
    oldestReadNs: read?.kind === 'read' ? read.oldestNs : null,
    hasTraffic: responses.some(({ outcome }) => outcome.kind === 'value'),
  };
  const outcomes = await verifyHttp(resolved, facts, { ...tools, probe: cycle.probe });
  return { outcomes, containers: null, cost: sumOfCosts([...costs, cycle.probe.takeCost()]) };
}

/**
 * An app without requests has zero of them only if log-cache knows the app: right after a restart of log-cache every
 * app looks idle, and a false zero would scale a busy app in.
 */
function emptyOutcome(unit: string, presence: CollectionResult | null): MetricOutcome {
  if (presence?.kind !== 'read') return failureOf(presence, 'looking for a container metric');
  return presence.containerMetricSeen ? { kind: 'value', value: 0n, unit } : { kind: 'no-data' };
}

/** Tells `coverage` how the whole cycle went. Returns its last part. */
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
    coverage.succeeded(appId, requests);
  }
  return last;
}

/** Failures after which log-cache may have lost what it held. */
const logCacheFailures: ReadonlySet<LogCacheFailureKind> = new Set(['connection', 'server-error']);

/**
 * Reads on where the last cycle ended. If a whole window was read, log-cache must hold enough of it: a mean over its
 * last seconds alone, as after a restart of log-cache, says little about the app. If log-cache evicts so fast that half of
 * a window is never held, a part of it counts, and each cycle looks again.
 */
async function readOn(
  job: NonNullable<CollectionJobs['read']>,
  probe: OldestProbe,
  { collector, settledWindows, gaugeCoverage }: Tools,
): Promise<CollectionResult> {
  const settled = settledWindows.of(job);
  const result = await collector.run({ ...job, settled });
  if (result.kind !== 'read') {
    gaugeCoverage.forget(job.appId);
    return result;
  }
  const isDoubtful =
    result.fromNs <= job.startNs && result.oldestNs !== null && !coversGauges(result.oldestNs, job);
  const oldestNs = isDoubtful ? await probe.oldestNs() : job.startNs;
  if (oldestNs !== null && typeof oldestNs !== 'bigint') return { ...oldestNs, cost: result.cost };
  const isCovered = coversGauges(oldestNs, job);
  settledWindows.keep(job, isCovered ? result.settled : null);
  if (isCovered) gaugeCoverage.forget(job.appId);
  if (isCovered || gaugeCoverage.isPartEnough(job, oldestNs)) return result;
  const uncovered = Object.entries(result.outcomes).map(
    ([metricType, outcome]) => [metricType, withoutValue(outcome, 'not-covered')] as const,
  );
  return { ...result, outcomes: Object.fromEntries(uncovered) };
}

import { secsToNs } from '../../util/clock.js';
import { sumOfCosts } from '../pool/cost.js';
import type { Coverage } from './coverage.js';
import type { AskForTraffic, HttpTimerEvidence, HttpWindow } from './http-timer-evidence.js';
import type { Failed, HttpMetricType, MetricOutcome, NoDataReason } from '../pool/job.js';
import type { OldestProbe } from './oldest-probe.js';
import type { QueryBatcher } from './query-batcher.js';
import type { CollectionRequest } from './collection-request.js';

type HttpOutcomes = ReadonlyMap<HttpMetricType, MetricOutcome>;

/** What a cycle knows besides the outcomes of its queries. */
export interface HttpFacts {
  /** With the http window that was asked for. */
  readonly request: CollectionRequest;
  /** The http window that a value should describe. */
  readonly fullWindowSecs: number;
  /** Oldest envelope that the cycle has read anyway, ns since the epoch. */
  readonly oldestReadNs: bigint | null;
  /** log-cache has requests of the app in the window. */
  readonly hasTraffic: boolean;
}

interface Tools {
  readonly coverage: Coverage;
  readonly evidence: HttpTimerEvidence;
  readonly queries: QueryBatcher;
  readonly look: OldestProbe;
}

/**
 * Lets values of http metric types stand only where log-cache demonstrably holds the window that they are of, and zeros
 * only where there are http timers on the platform.
 */
export async function verifyHttp(
  outcomes: HttpOutcomes,
  facts: HttpFacts,
  tools: Tools,
): Promise<HttpOutcomes> {
  if (facts.hasTraffic) tools.evidence.traffic(httpWindow(facts.request));
  if (![...outcomes.values()].some(({ kind }) => kind === 'value')) return outcomes;
  const covered = await isCovered(outcomes, facts, tools);
  if (covered !== true) return withDoubt(outcomes, covered || 'not-covered');
  const real = await isReal(facts, tools);
  return real === true ? outcomes : withDoubt(outcomes, real || 'no-http-timers');
}

async function isCovered(
  outcomes: HttpOutcomes,
  { request, fullWindowSecs, oldestReadNs }: HttpFacts,
  { coverage, look }: Tools,
): Promise<boolean | Failed> {
  const { appId } = request;
  const { startNs, endNs } = windowOf(request);
  const throughput = outcomes.get('throughput');
  const cycle = {
    appId,
    startNs,
    endNs,
    fullWindowSecs,
    oldestReadNs,
    throughput: throughput?.kind === 'value' ? Number(throughput.value) : null,
  };
  if (!coverage.needsProbe(cycle)) return true;
  const oldestNs = await look.oldestNs();
  return oldestNs === null || typeof oldestNs === 'bigint' ? coverage.probed(cycle, oldestNs) : oldestNs;
}

async function isReal(
  { request, hasTraffic }: HttpFacts,
  { evidence, queries, look }: Tools,
): Promise<boolean | Failed> {
  const window = httpWindow(request);
  const { windowSecs } = window;
  if (hasTraffic) return evidence.isWhole(window);
  const ask: AskForTraffic = async (appIds, { timeSecs }) => {
    const answers = await Promise.all(
      appIds.map((other) => queries.ask({ metricType: 'throughput', appId: other, timeSecs, windowSecs })),
    );
    look.cost = sumOfCosts([look.cost, ...answers.map(({ cost }) => cost)]);
    if (answers.some(({ outcome }) => outcome.kind === 'value')) return true;
    const failed = answers.map(({ outcome }) => outcome).find((outcome) => outcome.kind === 'failed');
    return failed ? { ...failed, message: `looking for http timers: ${failed.message}` } : false;
  };
  return evidence.isIdle(window, ask);
}

function httpWindow({ appId, endNs, httpWindowSecs }: CollectionRequest): HttpWindow {
  return { appId, timeSecs: Number(endNs / secsToNs(1)), windowSecs: httpWindowSecs };
}

/** log-cache cuts times to whole seconds, and so does the http window. */
function windowOf({ endNs, httpWindowSecs }: CollectionRequest): { startNs: bigint; endNs: bigint } {
  const wholeEndNs = (endNs / secsToNs(1)) * secsToNs(1);
  return { startNs: wholeEndNs - secsToNs(httpWindowSecs), endNs: wholeEndNs };
}

function withDoubt(outcomes: HttpOutcomes, doubt: NoDataReason | Failed): HttpOutcomes {
  return new Map(
    [...outcomes].map(([metricType, outcome]) => [
      metricType,
      typeof doubt === 'string' ? withoutValue(outcome, doubt) : doubt,
    ]),
  );
}

/** A value that cannot be trusted is *no data*; what is none stays what it is. */
export function withoutValue(outcome: MetricOutcome, reason: NoDataReason): MetricOutcome {
  return outcome.kind === 'value' ? { kind: 'no-data', reason } : outcome;
}

import { sumOfCosts } from '../pool/cost.js';
import type { Failed, HttpMetricType, MetricOutcome, NoDataReason } from '../pool/job.js';
import { boundsNs, httpWindow, type CollectionRequest } from './collection-request.js';
import type { Coverage } from './coverage.js';
import type { AskForTraffic, HttpTimerEvidence } from './http-timer-evidence.js';
import type { OldestProbe } from './oldest-probe.js';
import type { QueryBatcher } from './query-batcher.js';

type HttpOutcomes = ReadonlyMap<HttpMetricType, MetricOutcome>;

/** What a cycle knows besides the outcomes of its queries. */
export interface HttpFacts {
  /** With the http window that was asked for. */
  readonly request: CollectionRequest;
  /** The http window that a value should describe. */
  readonly fullWindowSecs: number;
  /** The cycle's probe has shown that log-cache holds the window that was asked for. */
  readonly isHeld: boolean;
  /** Oldest envelope that the cycle has read anyway, ns since the epoch. */
  readonly oldestReadNs: bigint | null;
  /** log-cache has requests of the app in the window. */
  readonly hasTraffic: boolean;
}

interface Tools {
  readonly coverage: Coverage;
  readonly evidence: HttpTimerEvidence;
  readonly queries: QueryBatcher;
  readonly probe: OldestProbe;
}

/**
 * Turns values of http metric types into *no data* unless log-cache demonstrably holds their window, and zeros unless
 * there are http timers on the platform.
 */
export async function verifyHttp(
  outcomes: HttpOutcomes,
  facts: HttpFacts,
  tools: Tools,
): Promise<HttpOutcomes> {
  if (facts.hasTraffic) tools.evidence.traffic(httpWindow(facts.request));
  if (![...outcomes.values()].some(({ kind }) => kind === 'value')) return outcomes;
  const covered = facts.isHeld || (await isCovered(outcomes, facts, tools));
  if (covered !== true) return withDoubt(outcomes, covered || 'not-covered');
  const real = await isReal(facts, tools);
  return real === true ? outcomes : withDoubt(outcomes, real || 'no-http-timers');
}

async function isCovered(
  outcomes: HttpOutcomes,
  { request, fullWindowSecs, oldestReadNs }: HttpFacts,
  { coverage, probe }: Tools,
): Promise<boolean | Failed> {
  const throughput = outcomes.get('throughput');
  const cycle = {
    appId: request.appId,
    ...boundsNs(httpWindow(request)),
    fullWindowSecs,
    oldestReadNs,
    throughput: throughput?.kind === 'value' ? Number(throughput.value) : null,
  };
  if (!coverage.needsProbe(cycle) && !probe.isAsked) return true;
  const oldestNs = await probe.oldestNs();
  return oldestNs === null || typeof oldestNs === 'bigint' ? coverage.probed(cycle, oldestNs) : oldestNs;
}

async function isReal(
  { request, hasTraffic }: HttpFacts,
  { evidence, queries, probe }: Tools,
): Promise<boolean | Failed> {
  const window = httpWindow(request);
  if (hasTraffic) return evidence.isWhole(window);
  const ask: AskForTraffic = async (appIds) => {
    const others = appIds.map((appId) => ({ ...window, appId, metricType: 'throughput' as const }));
    const responses = await Promise.all(others.map((question) => queries.ask(question)));
    probe.cost = sumOfCosts([probe.cost, ...responses.map(({ cost }) => cost)]);
    const outcomes = responses.map(({ outcome }) => outcome);
    if (outcomes.some(({ kind }) => kind === 'value')) return true;
    const failed = outcomes.find((outcome) => outcome.kind === 'failed');
    return failed ? { ...failed, message: `looking for http timers: ${failed.message}` } : false;
  };
  return evidence.isIdle(window, ask);
}

function withDoubt(outcomes: HttpOutcomes, doubt: NoDataReason | Failed): HttpOutcomes {
  const doubted = [...outcomes].map(
    ([metricType, outcome]) =>
      [metricType, typeof doubt === 'string' ? withoutValue(outcome, doubt) : doubt] as const,
  );
  return new Map(doubted);
}

/** A value that cannot be trusted becomes *no data*; every other outcome stays. */
export function withoutValue(outcome: MetricOutcome, reason: NoDataReason): MetricOutcome {
  return outcome.kind === 'value' ? { kind: 'no-data', reason } : outcome;
}

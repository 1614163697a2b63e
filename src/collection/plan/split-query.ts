import type { LogCacheFailureKind } from '../../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from '../pool/cost.js';
import type { CollectionCost, HttpOutcome, QueryJob } from '../pool/job.js';
import { failureOf } from './failures.js';

export interface QueryOutcomes {
  /** One entry per app of the job. */
  readonly outcomes: ReadonlyMap<string, HttpOutcome>;
  readonly cost: CollectionCost;
}

/**
 * Failures that have nothing to do with an app. One app of a batch can cause any other failure for all of them: it is too
 * busy, forbidden, has an odd id, or makes log-cache fail. In an outage, splitting makes about as many queries as there are
 * apps, as asking for each alone would.
 */
const causedByNoApp = new Set<LogCacheFailureKind>(['clock-ahead', 'no-token', 'not-asked', 'thread']);

/**
 * Failures after which the apps are asked one by one. To halve the batch would wait for the deadline in each step, past
 * the app's next cycle, or break further connections.
 */
const costlyFailures = new Set<LogCacheFailureKind>(['gave-up', 'server-error', 'connection']);

/** Whether log-cache did not respond in time, or gave up because the app has too many envelopes. */
export function tookTooLong(outcome: HttpOutcome): boolean {
  return timedOut(outcome) || (outcome.kind === 'failed' && outcome.failure === 'gave-up');
}

export function timedOut(outcome: HttpOutcome): boolean {
  return outcome.kind === 'failed' && outcome.failure === 'timeout';
}

/** Whether the outcome is a failure that the app alone may be the cause of. */
export function mayBeCausedByOneApp(outcome: HttpOutcome): boolean {
  return outcome.kind === 'failed' && !causedByNoApp.has(outcome.failure);
}

/**
 * Runs a query for one or more apps. If it fails, the apps that failed are asked again in smaller parts, down to each
 * alone, so that one app's failure costs no other its value: at most twice as many queries as apps. After a timeout
 * nothing is asked again: each part might take as long, and the apps are hardly the cause.
 */
export async function splitQuery(job: QueryJob, collector: Collector): Promise<QueryOutcomes> {
  const result = await collector.run(job);
  const found = result.kind === 'query' ? result.outcomes : {};
  const outcomes = new Map(job.appIds.map((appId) => [appId, found[appId] ?? failureOf(result)]));
  const again = [...outcomes].filter(([, outcome]) => mayBeCausedByOneApp(outcome) && !timedOut(outcome));
  if (job.appIds.length === 1 || again.length === 0) return { outcomes, cost: result.cost };

  const responses = await Promise.all(
    partsOf(again).map((appIds) => splitQuery({ ...job, appIds }, collector)),
  );
  return {
    outcomes: new Map([...outcomes, ...responses.flatMap((response) => [...response.outcomes])]),
    cost: sumOfCosts([result.cost, ...responses.map(({ cost }) => cost)]),
  };
}

/** Halves of the apps, or each app by itself. */
function partsOf(failed: readonly (readonly [appId: string, outcome: HttpOutcome])[]): string[][] {
  const costly = failed.some(
    ([, outcome]) => outcome.kind === 'failed' && costlyFailures.has(outcome.failure),
  );
  const appIds = failed.map(([appId]) => appId);
  if (costly) return appIds.map((appId) => [appId]);
  const half = Math.ceil(appIds.length / 2);
  return [appIds.slice(0, half), appIds.slice(half)].filter((part) => part.length > 0);
}

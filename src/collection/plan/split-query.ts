import type { LogCacheFailureKind } from '../../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from '../pool/cost.js';
import type { HttpOutcome } from '../worker/http-aggregation.js';
import type { CollectionCost, CollectionResult, QueryJob } from '../pool/job.js';

export interface QueryOutcomes {
  /** One entry per app of the job. */
  readonly outcomes: ReadonlyMap<string, HttpOutcome>;
  readonly cost: CollectionCost;
}

/**
 * Failures that one app of a batch can cause for all: it is too busy, forbidden, has an odd id, or brings down what
 * answers. In an outage that makes about as many queries as there are apps, which is what asking each alone would.
 */
const causedByOneApp = new Set<LogCacheFailureKind>([
  'connection',
  'timeout',
  'gave-up',
  'unauthorized',
  'client-error',
  'server-error',
  'bad-answer',
]);

/**
 * Failures after which the apps are asked one by one: halving would wait for the deadline in each of its steps, past
 * the app's next cycle, or break further connections.
 */
const costlyFailures = new Set<LogCacheFailureKind>(['gave-up', 'server-error', 'connection']);

/** Whether log-cache gave no answer in time, or found the app too busy. */
export function tookTooLong(outcome: HttpOutcome | undefined): boolean {
  return outcome?.kind === 'failed' && (outcome.failure === 'timeout' || outcome.failure === 'gave-up');
}

export function timedOut(outcome: HttpOutcome | undefined): boolean {
  return outcome?.kind === 'failed' && outcome.failure === 'timeout';
}

/** Whether the outcome is a failure that the app alone may be the cause of. */
export function mayBeCausedByOneApp(outcome: HttpOutcome | undefined): boolean {
  return outcome?.kind === 'failed' && causedByOneApp.has(outcome.failure);
}

/**
 * Runs a query for one or more apps. Where it fails it is asked again for parts of the apps that failed, down to each
 * alone, so that one app's failure does not cost another's value: at most twice as many queries as apps. Not where there
 * was no answer in time: each part might hang as long, and it is hardly the apps' doing.
 */
export async function splitQuery(
  job: Omit<QueryJob, 'authorization'>,
  collector: Collector,
): Promise<QueryOutcomes> {
  const result = await collector.run(job);
  const outcomes = new Map(job.appIds.map((appId) => [appId, outcomeIn(result, appId)]));
  const again = job.appIds.filter((appId) => {
    const outcome = outcomes.get(appId);
    return mayBeCausedByOneApp(outcome) && !timedOut(outcome);
  });
  if (job.appIds.length === 1 || again.length === 0) return { outcomes, cost: result.cost };

  const answers = await Promise.all(
    parts(again, outcomes).map((appIds) => splitQuery({ ...job, appIds }, collector)),
  );
  return {
    outcomes: new Map([...outcomes, ...answers.flatMap((answer) => [...answer.outcomes])]),
    cost: sumOfCosts([result.cost, ...answers.map((answer) => answer.cost)]),
  };
}

/** The apps to ask for again, in parts: a failure that costs much is looked for in each app at once. */
function parts(appIds: readonly string[], outcomes: ReadonlyMap<string, HttpOutcome>): string[][] {
  const costly = appIds.some((appId) => {
    const outcome = outcomes.get(appId);
    return outcome?.kind === 'failed' && costlyFailures.has(outcome.failure);
  });
  const length = costly ? 1 : Math.ceil(appIds.length / 2);
  const count = Math.ceil(appIds.length / length);
  return Array.from({ length: count }, (_, part) => appIds.slice(part * length, (part + 1) * length));
}

function outcomeIn(result: CollectionResult, appId: string): HttpOutcome {
  if (result.kind === 'failed') return { kind: 'failed', failure: result.failure, message: result.message };
  const outcome = result.kind === 'query' ? result.outcomes[appId] : undefined;
  return outcome ?? { kind: 'failed', failure: 'thread', message: 'the collector left the app out' };
}

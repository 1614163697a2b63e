import type { FailureKind } from '../log-cache/log-cache.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from './cost.js';
import type { HttpOutcome } from './http-aggregation.js';
import type { CollectionCost, CollectionResult, QueryJob } from './job.js';

export interface QueryOutcomes {
  /** One entry per app of the job. */
  readonly outcomes: ReadonlyMap<string, HttpOutcome>;
  readonly cost: CollectionCost;
}

/** Failures that one app of a batch can cause for all: it is too busy, forbidden, or has an odd id. */
const causedByOneApp = new Set<FailureKind>([
  'timeout',
  'unauthorized',
  'client-error',
  'server-error',
  'bad-answer',
]);

/**
 * Runs a query for one or more apps. Where it fails it is asked again for each half of the apps that failed, so that
 * one app's failure does not cost another's value: at most twice as many queries as apps.
 */
export async function queryApart(
  job: Omit<QueryJob, 'authorization'>,
  collector: Collector,
): Promise<QueryOutcomes> {
  const result = await collector.run(job);
  const outcomes = new Map(job.appIds.map((appId) => [appId, outcomeIn(result, appId)]));
  const again = job.appIds.filter((appId) => {
    const outcome = outcomes.get(appId);
    return outcome?.kind === 'failed' && causedByOneApp.has(outcome.failure);
  });
  if (job.appIds.length === 1 || again.length === 0) return { outcomes, cost: result.cost };

  const middle = Math.ceil(again.length / 2);
  const halves = [again.slice(0, middle), again.slice(middle)].filter((appIds) => appIds.length > 0);
  const answers = await Promise.all(halves.map((appIds) => queryApart({ ...job, appIds }, collector)));
  return {
    outcomes: new Map([...outcomes, ...answers.flatMap((answer) => [...answer.outcomes])]),
    cost: sumOfCosts([result.cost, ...answers.map((answer) => answer.cost)]),
  };
}

function outcomeIn(result: CollectionResult, appId: string): HttpOutcome {
  if (result.kind === 'failed') return { kind: 'failed', failure: result.failure, message: result.message };
  const outcome = result.kind === 'query' ? result.outcomes[appId] : undefined;
  return outcome ?? { kind: 'failed', failure: 'thread', message: 'the collector left the app out' };
}

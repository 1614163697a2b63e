import { type LogCache, LogCacheError } from '../../log-cache/log-cache.js';
import { canShareQuery, responseTimeQuery, throughputQuery } from '../../log-cache/promql.js';
import { aggregateVector } from './http-aggregation.js';
import type { Authorized, CollectionCost, Failed, HttpOutcome, QueryJob, QueryResult } from '../pool/job.js';

/** Asks for one http metric type of all apps of the job in one query. If it fails, it fails for each of them. */
export async function queryHttp(
  job: QueryJob & Authorized,
  { logCache, cost }: { logCache: Pick<LogCache, 'instantQuery'>; cost: CollectionCost },
): Promise<QueryResult> {
  const outcomes = new Map<string, HttpOutcome>();
  const single = job.appIds.length === 1;
  const appIds = job.appIds.filter((appId) => single || canShareQuery(appId));
  for (const appId of job.appIds) outcomes.set(appId, unshareable(appId));
  if (appIds.length > 0) {
    for (const [appId, outcome] of await query(job, appIds, logCache, cost)) outcomes.set(appId, outcome);
  }
  return { kind: 'query', outcomes: Object.fromEntries(outcomes) };
}

async function query(
  job: QueryJob & Authorized,
  appIds: readonly string[],
  logCache: Pick<LogCache, 'instantQuery'>,
  cost: CollectionCost,
): Promise<Map<string, HttpOutcome>> {
  const build = job.metricType === 'throughput' ? throughputQuery : responseTimeQuery;
  try {
    cost.requests++;
    const request = {
      query: build(appIds, job.windowSecs),
      timeSecs: job.timeSecs,
      authorization: job.authorization,
    };
    return await logCache.instantQuery(request, ({ samples, bytes }) => {
      cost.bytes += bytes;
      const { outcomes, droppedSamples } = aggregateVector(job.metricType, appIds, samples);
      cost.droppedSamples += droppedSamples;
      return outcomes;
    });
  } catch (error) {
    if (!(error instanceof LogCacheError)) throw error;
    const failed: Failed = { kind: 'failed', failure: error.kind, message: error.message };
    return new Map(appIds.map((appId) => [appId, failed]));
  }
}

function unshareable(appId: string): Failed {
  return {
    kind: 'failed',
    failure: 'client-error',
    message: `"${appId}" is no literal text in a regular expression and can only be asked for in a query of its own`,
  };
}

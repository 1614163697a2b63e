import type { LogCache } from '../../log-cache/log-cache.js';
import { responseTimeQuery, throughputQuery } from '../../log-cache/promql.js';
import { aggregateVector } from './http-aggregation.js';
import type { Authorized, CollectionCost, QueryJob, QueryResult } from '../pool/job.js';

/** Asks for one http metric type of all apps of the job in one query. Rejects with a LogCacheError. */
export async function queryHttp(
  { metricType, appIds, timeSecs, windowSecs, authorization }: QueryJob & Authorized,
  { logCache, cost }: { logCache: Pick<LogCache, 'instantQuery'>; cost: CollectionCost },
): Promise<QueryResult> {
  const build = metricType === 'throughput' ? throughputQuery : responseTimeQuery;
  cost.requests++;
  const request = { query: build(appIds, windowSecs), timeSecs, authorization };
  return logCache.instantQuery(request, ({ samples, bytes }) => {
    cost.bytes += bytes;
    const { outcomes, droppedSamples } = aggregateVector(metricType, appIds, samples);
    cost.droppedSamples += droppedSamples;
    return { kind: 'query', outcomes: Object.fromEntries(outcomes) };
  });
}

import { LogCacheError, type VectorSample } from '../../log-cache/log-cache.js';
import type { HttpMetricType, HttpOutcome } from '../pool/job.js';
import { fitsInt64, Mean } from './mean.js';

export const httpUnits: Readonly<Record<HttpMetricType, string>> = { throughput: 'rps', responsetime: 'ms' };

/**
 * App metrics of the apps asked for: the mean over the instances in the response, each rounded up. Instances without a
 * request are not in the response and do not count; an app without any is `empty`.
 */
export function aggregateVector(
  metricType: HttpMetricType,
  appIds: readonly string[],
  samples: readonly VectorSample[],
): { outcomes: Map<string, HttpOutcome>; droppedSamples: number } {
  const means = new Map<string, Mean>();
  const asked = new Set(appIds);
  let droppedSamples = 0;
  for (const { labels, value } of samples) {
    const appId = labels['source_id'];
    if (appId === undefined) {
      throw new LogCacheError('bad-answer', 'log-cache answered with a sample that names no source_id');
    }
    // The auth proxy also expands app names: an app named like another app's id gets into the response.
    if (!asked.has(appId)) continue;
    const mean = means.get(appId) ?? new Mean();
    means.set(appId, mean);
    if (fitsInt64(value)) mean.add(Math.ceil(value));
    else droppedSamples++;
  }
  const outcomes = new Map(appIds.map((appId) => [appId, outcomeOf(means.get(appId), metricType)]));
  return { outcomes, droppedSamples };
}

function outcomeOf(mean: Mean | undefined, metricType: HttpMetricType): HttpOutcome {
  if (!mean) return { kind: 'empty' };
  const value = mean.ceil();
  return value === null ? { kind: 'no-data' } : { kind: 'value', value, unit: httpUnits[metricType] };
}

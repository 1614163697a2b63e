import type { Clock } from '../clock.js';
import type { GaugeEnvelope, LogCache } from '../log-cache/log-cache.js';
import { provesPresence } from './envelopes.js';
import { GaugeAggregation } from './gauge-aggregation.js';
import type { CollectionCost, ReadJob, ReadResult } from './job.js';
import { gaugesOf, presenceGauge, provesAbsence } from './metric-types.js';
import { fullPage, readPages } from './read-pages.js';

interface ReadTools {
  readonly logCache: Pick<LogCache, 'read'>;
  readonly clock: Clock;
  /** Grows while reading, so that a failed read has a cost too. */
  readonly cost: CollectionCost;
}

/** Reads one app's gauges completely and aggregates them. Rejects with a LogCacheError: then nothing is known. */
export async function readGauges(job: ReadJob, tools: ReadTools): Promise<Omit<ReadResult, 'cost'>> {
  if (job.gaugeTypes.length === 0) return probe(job, tools);
  const names = gaugesOf(job.gaugeTypes);
  const aggregation = new GaugeAggregation(job.gaugeTypes);
  let seen = false;
  for await (const envelopes of readPages(windowOf(job, names), fullPage, tools)) {
    aggregation.add(envelopes);
    seen ||= showsPresence(envelopes, job.presenceSinceNs);
  }
  tools.cost.droppedSamples += aggregation.droppedSamples;
  return {
    kind: 'read',
    outcomes: aggregation.outcomes(),
    containerMetricSeen: seen || (provesAbsence(names) ? false : null),
    instances: aggregation.instances,
  };
}

/** Enough for the newest tick of dozens of instances, even if some of them do not count. */
const probePage = 100;

/** Looks for one container metric and reads no further than it must. */
async function probe(job: ReadJob, tools: ReadTools): Promise<Omit<ReadResult, 'cost'>> {
  let seen = false;
  for await (const envelopes of readPages(windowOf(job, [presenceGauge]), probePage, tools)) {
    seen = showsPresence(envelopes, job.presenceSinceNs);
    if (seen) break;
  }
  return { kind: 'read', outcomes: {}, containerMetricSeen: seen, instances: 0 };
}

function windowOf({ appId, startNs, endNs, authorization }: ReadJob, names: readonly string[]) {
  return { sourceId: appId, startNs, endNs, names, authorization };
}

function showsPresence(envelopes: readonly GaugeEnvelope[], sinceNs: bigint): boolean {
  return envelopes.some((envelope) => provesPresence(envelope) && BigInt(envelope.timestamp) >= sinceNs);
}

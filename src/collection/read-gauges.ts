import type { Clock } from '../clock.js';
import type { GaugeEnvelope, LogCache } from '../log-cache/log-cache.js';
import { provesPresence } from './envelopes.js';
import { GaugeAggregation } from './gauge-aggregation.js';
import type { CollectionCost, ReadJob, ReadResult, SettledWindow } from './job.js';
import { gaugesOf, presenceGauge, provesAbsence } from './metric-types.js';
import { fullPage, readPages } from './read-pages.js';
import { settledUntil } from './settling.js';

interface ReadTools {
  readonly logCache: Pick<LogCache, 'read'>;
  readonly clock: Clock;
  /** Grows while reading, so that a failed read has a cost too. */
  readonly cost: CollectionCost;
}

/**
 * Reads what is not settled of one app's gauges and aggregates all of the window. Rejects with a LogCacheError: then
 * nothing is known.
 */
export async function readGauges(job: ReadJob, tools: ReadTools): Promise<Omit<ReadResult, 'cost'>> {
  if (job.gaugeTypes.length === 0) return probe(job, tools);
  const names = gaugesOf(job.gaugeTypes);
  let { settled } = job;
  let fromNs = settled?.untilNs ?? job.startNs;
  let reading = await read(job, { names, fromNs, toNs: job.endNs, settled }, tools);
  if (settled && reading.newestNs === null) {
    // Not one new envelope. If log-cache has lost the app's envelopes the older ones are gone too, and there is no data.
    const toNs = fromNs;
    [settled, fromNs] = [null, job.startNs];
    reading = await read(job, { names, fromNs, toNs, settled }, tools);
  }
  const { aggregation, newestNs, seen } = reading;
  tools.cost.droppedSamples += aggregation.droppedSamples;
  const presenceCovered = provesAbsence(names) && fromNs <= job.presenceSinceNs;
  return {
    kind: 'read',
    outcomes: aggregation.outcomes(),
    containerMetricSeen: seen || (presenceCovered ? false : null),
    instances: aggregation.instances,
    settled: newestNs === null ? null : aggregation.settle(later(fromNs, settledUntil(job.endNs, newestNs))),
  };
}

/** What is asked of log-cache, out of a job's window. */
interface Part {
  readonly names: readonly string[];
  readonly fromNs: bigint;
  readonly toNs: bigint;
}

interface Reading {
  readonly aggregation: GaugeAggregation;
  /** Time of the newest envelope; null where there was none. */
  readonly newestNs: bigint | null;
  /** Whether a container metric was seen at or after the job's presenceSinceNs. */
  readonly seen: boolean;
}

async function read(
  job: ReadJob,
  part: Part & { readonly settled: SettledWindow | null },
  tools: ReadTools,
): Promise<Reading> {
  const { startNs, endNs, presenceSinceNs } = job;
  const aggregation = new GaugeAggregation(job.gaugeTypes, { startNs, endNs, settled: part.settled });
  let newestNs: bigint | null = null;
  let seen = false;
  for await (const page of readPages(windowOf(job, part), fullPage, tools)) {
    aggregation.add(page.envelopes);
    newestNs ??= page.newestNs;
    seen ||= showsPresence(page.envelopes, presenceSinceNs);
  }
  return { aggregation, newestNs, seen };
}

/** Enough for the newest tick of dozens of instances, even if some of them do not count. */
const probePage = 100;

/** Looks for one container metric and reads no further than it must. */
async function probe(job: ReadJob, tools: ReadTools): Promise<Omit<ReadResult, 'cost'>> {
  let seen = false;
  const window = windowOf(job, { names: [presenceGauge], fromNs: job.startNs, toNs: job.endNs });
  for await (const { envelopes } of readPages(window, probePage, tools)) {
    seen = showsPresence(envelopes, job.presenceSinceNs);
    if (seen) break;
  }
  return { kind: 'read', outcomes: {}, containerMetricSeen: seen, instances: 0, settled: null };
}

function windowOf({ appId, authorization }: ReadJob, { names, fromNs, toNs }: Part) {
  return { sourceId: appId, startNs: fromNs, endNs: toNs, names, authorization };
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function showsPresence(envelopes: readonly GaugeEnvelope[], sinceNs: bigint): boolean {
  return envelopes.some((envelope) => provesPresence(envelope) && BigInt(envelope.timestamp) >= sinceNs);
}

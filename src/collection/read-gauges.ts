import type { Clock } from '../clock.js';
import type { GaugeEnvelope, LogCache } from '../log-cache/log-cache.js';
import { provesPresence } from './envelopes.js';
import { GaugeAggregation } from './gauge-aggregation.js';
import type { CollectionCost, ReadJob, ReadResult, SettledWindow } from './job.js';
import { gaugesOf, presenceGauge, provesAbsence } from './metric-types.js';
import { fullPage, type Page, readPages } from './read-pages.js';
import { settledUntil } from './settling.js';

interface ReadTools {
  readonly logCache: Pick<LogCache, 'read'>;
  readonly clock: Clock;
  /** Grows while reading, so that a failed read has a cost too. */
  readonly cost: CollectionCost;
}

type GaugesRead = Omit<ReadResult, 'cost'>;

/**
 * Reads what is not settled of one app's gauges and aggregates all of the window. Rejects with a LogCacheError: then
 * nothing is known.
 */
export async function readGauges(job: ReadJob, tools: ReadTools): Promise<GaugesRead> {
  if (job.gaugeTypes.length === 0) return probe(job, tools);
  const { settled, startNs, endNs } = job;
  if (!settled) return (await read(job, { fromNs: startNs, toNs: endNs, settled }, tools)).result;
  const { result, empty } = await read(job, { fromNs: settled.untilNs, toNs: endNs, settled }, tools);
  if (!empty) return result;
  // Not one new envelope. If log-cache has lost the app's envelopes the older ones are gone too, and there is no data.
  return (await read(job, { fromNs: startNs, toNs: settled.untilNs, settled: null }, tools)).result;
}

/** What is read of a job's window; `settled` is what goes before it. */
interface Part {
  readonly fromNs: bigint;
  readonly toNs: bigint;
  readonly settled: SettledWindow | null;
}

async function read(
  job: ReadJob,
  part: Part,
  tools: ReadTools,
): Promise<{ result: GaugesRead; empty: boolean }> {
  const names = gaugesOf(job.gaugeTypes);
  const reading = new Reading(job, part, names);
  await readPages(windowOf(job, names, part), fullPage, tools, (page) => reading.take(page));
  tools.cost.droppedSamples += reading.droppedSamples;
  return { result: reading.end(), empty: reading.newestNs === null };
}

/**
 * Takes the pages of one read. The aggregation begins with the first page and is let go at the end: a round waits long
 * enough to be old to the garbage collector, and what it pointed to would be found only by walking the whole heap.
 */
class Reading {
  /** Time of the newest envelope; null where there was none. */
  newestNs: bigint | null = null;
  #seen = false;
  #aggregation: GaugeAggregation | null = null;

  constructor(
    private readonly job: ReadJob,
    private readonly part: Part,
    private readonly names: readonly string[],
  ) {}

  take({ envelopes, newestNs }: Page): boolean {
    this.#begun().add(envelopes);
    this.newestNs ??= newestNs;
    this.#seen ||= showsPresence(envelopes, this.job.presenceSinceNs);
    return true;
  }

  get droppedSamples(): number {
    return this.#aggregation?.droppedSamples ?? 0;
  }

  end(): GaugesRead {
    const { endNs, presenceSinceNs } = this.job;
    const { fromNs } = this.part;
    const aggregation = this.#begun();
    this.#aggregation = null;
    const presenceCovered = provesAbsence(this.names) && fromNs <= presenceSinceNs;
    return {
      kind: 'read',
      outcomes: aggregation.outcomes(),
      containerMetricSeen: this.#seen || (presenceCovered ? false : null),
      instances: aggregation.instances,
      settled:
        this.newestNs === null ? null : aggregation.settle(later(fromNs, settledUntil(endNs, this.newestNs))),
    };
  }

  #begun(): GaugeAggregation {
    const { startNs, endNs, gaugeTypes } = this.job;
    const { settled } = this.part;
    return (this.#aggregation ??= new GaugeAggregation(gaugeTypes, { startNs, endNs, settled }));
  }
}

/** Enough for the newest tick of dozens of instances, even if some of them do not count. */
const probePage = 100;

/** Looks for one container metric and reads no further than it must. */
async function probe(job: ReadJob, tools: ReadTools): Promise<GaugesRead> {
  let seen = false;
  const window = windowOf(job, [presenceGauge], { fromNs: job.startNs, toNs: job.endNs });
  await readPages(window, probePage, tools, ({ envelopes }) => {
    seen = showsPresence(envelopes, job.presenceSinceNs);
    return !seen;
  });
  return { kind: 'read', outcomes: {}, containerMetricSeen: seen, instances: 0, settled: null };
}

function windowOf(
  { appId, authorization }: ReadJob,
  names: readonly string[],
  { fromNs, toNs }: Pick<Part, 'fromNs' | 'toNs'>,
) {
  return { sourceId: appId, startNs: fromNs, endNs: toNs, names, authorization };
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function showsPresence(envelopes: readonly GaugeEnvelope[], sinceNs: bigint): boolean {
  return envelopes.some((envelope) => provesPresence(envelope) && BigInt(envelope.timestamp) >= sinceNs);
}

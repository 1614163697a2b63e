import type { GaugeEnvelope, Window } from '../../log-cache/log-cache.js';
import { provesPresence } from './envelopes.js';
import { GaugeAggregation } from './gauge-aggregation.js';
import type { Authorized, ReadJob, ReadResult, SettledWindow } from '../pool/job.js';
import { gaugesOf, presenceGauge, provesAbsence } from './metric-types.js';
import { fullPage, gaugePages, readPages, type ReadTools } from './read-pages.js';

/** Enough for the newest container metrics of dozens of instances. */
const presencePage = 100;

/**
 * Reads the unsettled part of one app's gauges and aggregates the whole window. A read for presence alone ends when it has
 * found one container metric. Rejects with a LogCacheError.
 */
export async function readGauges(job: ReadJob & Authorized, tools: ReadTools<'read'>): Promise<ReadResult> {
  const { gaugeTypes, settled, startNs, endNs } = job;
  const [names, limit] = asksForGauges(job)
    ? [gaugesOf(gaugeTypes), fullPage]
    : [[presenceGauge], presencePage];
  const reading = new Reading(job, names);
  const pages = gaugePages(job, names, tools.logCache);
  const read = (part: Window) =>
    readPages(part, limit, tools, pages, (page, oldestNs) => reading.take(page, oldestNs));
  await read({ startNs: settled?.untilNs ?? startNs, endNs });
  if (settled && !reading.goesOnFrom(settled)) {
    reading.forgetSettled();
    await read({ startNs, endNs: settled.untilNs });
  }
  tools.cost.droppedSamples += reading.droppedSamples;
  return reading.end();
}

/**
 * Takes the pages of a job's reads. The aggregation is made with the first page and dropped at the end: what a waiting
 * job points to becomes old to the garbage collector, which then finds it only in its slow collections.
 */
class Reading {
  /** Time of the oldest envelope read; null where there was none. */
  #oldestNs: bigint | null = null;
  #seen = false;
  #fromNs: bigint;
  #aggregation: GaugeAggregation | null = null;

  constructor(
    private readonly job: ReadJob & Authorized,
    private readonly names: readonly string[],
  ) {
    this.#fromNs = job.settled?.untilNs ?? job.startNs;
  }

  take(envelopes: readonly GaugeEnvelope[], oldestNs: bigint): boolean {
    this.#begun().add(envelopes);
    this.#oldestNs = oldestNs;
    this.#seen ||= showsPresence(envelopes, this.job.presenceSinceNs);
    return asksForGauges(this.job) || !this.#seen;
  }

  /** False without a new envelope: if log-cache has lost the app's envelopes, the settled ones must not count either. */
  goesOnFrom(settled: SettledWindow): boolean {
    return this.#oldestNs !== null && this.#begun().goesOnFrom(settled);
  }

  /** The part before is read as well. */
  forgetSettled(): void {
    this.#begun().forgetSettled();
    this.#fromNs = this.job.startNs;
  }

  get droppedSamples(): number {
    return this.#aggregation?.droppedSamples ?? 0;
  }

  end(): ReadResult {
    const aggregation = this.#begun();
    this.#aggregation = null;
    const presenceCovered = provesAbsence(this.names) && this.#fromNs <= this.job.presenceSinceNs;
    return {
      kind: 'read',
      outcomes: aggregation.outcomes(),
      containerMetricSeen: this.#seen || (presenceCovered ? false : null),
      containers: asksForGauges(this.job) ? aggregation.containers : null,
      fromNs: this.#fromNs,
      oldestNs: this.#oldestNs,
      settled: this.#oldestNs === null ? null : aggregation.settle(this.#fromNs),
    };
  }

  #begun(): GaugeAggregation {
    return (this.#aggregation ??= new GaugeAggregation(this.job.gaugeTypes, this.job));
  }
}

/** Or only for presence. */
function asksForGauges({ gaugeTypes }: ReadJob): boolean {
  return gaugeTypes.length > 0;
}

function showsPresence(envelopes: readonly GaugeEnvelope[], sinceNs: bigint): boolean {
  return envelopes.some((envelope) => provesPresence(envelope) && BigInt(envelope.timestamp) >= sinceNs);
}

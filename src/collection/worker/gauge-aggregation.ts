import type { GaugeEnvelope } from '../../log-cache/log-cache.js';
import { countsForApp, instanceOf, isFromContainer } from './envelopes.js';
import type { ContainerCounts, MetricOutcome, SettledWindow } from '../pool/job.js';
import { fitsInt64 } from './mean.js';
import { type GaugeMetricType, gaugeMetricType } from './metric-types.js';
import { Streams } from './streams.js';
import { type StatWindow, WindowSamples } from './window-samples.js';

/** Usage and quota of one instance at one time; they arrive in separate envelopes and in any order. */
interface Pair {
  usage: number | null;
  quota: number | null;
}

interface MetricType {
  /** As the rules name it. */
  readonly name: string;
  readonly index: number;
  readonly is: GaugeMetricType;
  /** By time, then by instance. */
  readonly pairs: Map<string, Map<string, Pair>>;
}

/** A gauge that was asked for. */
interface Gauge {
  readonly index: number;
  readonly types: MetricType[];
}

/**
 * Turns the gauges of one app and stat window into app metrics: every sample is rounded up, and the mean over all
 * samples of all instances is rounded up. Gauges may come in any order, in common or separate envelopes, page by page.
 * Those of the settled part of the window were summed up in earlier cycles.
 */
export class GaugeAggregation {
  readonly #types: readonly MetricType[];
  /** Gauges of containers count for container metric types, and not for a custom metric of the same name. */
  readonly #containerGauges = new Map<string, Gauge>();
  readonly #otherGauges = new Map<string, Gauge>();
  readonly #samples: WindowSamples;
  readonly #streams = new Streams();
  readonly #webContainers = new Set<string>();
  readonly #otherContainers = new Set<string>();
  #gaugeCount = 0;
  #dropped = 0;

  constructor(
    metricTypes: readonly string[],
    private readonly window: StatWindow,
  ) {
    this.#types = [...new Set(metricTypes)].map((name, index) => ({
      name,
      index,
      is: gaugeMetricType(name),
      pairs: new Map<string, Map<string, Pair>>(),
    }));
    for (const type of this.#types) {
      for (const gauge of [type.is.gauge, ...(type.is.quota === null ? [] : [type.is.quota])]) {
        this.#interest(this.#otherGauges, gauge, type);
        if (type.is.unit !== null) this.#interest(this.#containerGauges, gauge, type);
      }
    }
    this.#samples = new WindowSamples(
      this.#types.map(({ is }) => is.unit),
      window,
    );
  }

  #interest(gauges: Map<string, Gauge>, name: string, type: MetricType): void {
    const known = gauges.get(name);
    if (known) known.types.push(type);
    else gauges.set(name, { index: this.#gaugeCount++, types: [type] });
  }

  add(envelopes: readonly GaugeEnvelope[]): void {
    for (const envelope of envelopes) {
      if (countsForApp(envelope)) this.#addEnvelope(envelope);
      else this.#otherContainers.add(instanceOf(envelope) + (envelope.tags['process_type'] ?? ''));
    }
  }

  #addEnvelope(envelope: GaugeEnvelope): void {
    const { timestamp } = envelope;
    const instance = instanceOf(envelope);
    const isContainers = isFromContainer(envelope);
    if (isContainers) this.#webContainers.add(instance);
    const gauges = isContainers ? this.#containerGauges : this.#otherGauges;
    for (const { name, value, unit } of envelope.metrics) {
      const gauge = gauges.get(name);
      if (!gauge) continue;
      this.#streams.saw(instance, gauge.index, timestamp);
      if (!fitsInt64(value)) {
        this.#dropped++;
        continue;
      }
      for (const type of gauge.types) {
        const sample =
          type.is.quota === null
            ? Math.ceil(value / type.is.divisor)
            : this.#percentage(type, name, value, timestamp, instance);
        if (sample === null) continue;
        this.#samples.add(type.index, timestamp, sample, unit);
      }
    }
  }

  /** Usage in percent of the quota, when the gauge completes a pair; else null. */
  #percentage(
    { is, pairs }: MetricType,
    gauge: string,
    value: number,
    timestamp: string,
    instance: string,
  ): number | null {
    const isQuota = gauge === is.quota;
    if (isQuota && value <= 0) return this.#drop();
    let atTime = pairs.get(timestamp);
    if (!atTime) pairs.set(timestamp, (atTime = new Map<string, Pair>()));
    let pair = atTime.get(instance);
    if (!pair) atTime.set(instance, (pair = { usage: null, quota: null }));
    // A second gauge of the same instance and time is taken for a repetition.
    if ((isQuota ? pair.quota : pair.usage) !== null) return null;
    if (isQuota) pair.quota = value;
    else pair.usage = value;
    if (pair.usage === null || pair.quota === null) return null;

    // Multiplied first: 7 of 100 is 7 %, but 7 / 100 * 100 is a little more and would round up to 8.
    const percent = Math.ceil((pair.usage * 100) / pair.quota);
    return fitsInt64(percent) ? percent : this.#drop();
  }

  #drop(): null {
    this.#dropped++;
    return null;
  }

  outcomes(): Record<string, MetricOutcome> {
    // fromEntries makes an own property of "__proto__" too, which is a valid name of a custom metric.
    return Object.fromEntries(this.#types.map(({ name, index }) => [name, this.#outcome(index)]));
  }

  #outcome(index: number): MetricOutcome {
    const value = this.#samples.mean(index).ceil();
    return value === null ? { kind: 'no-data' } : { kind: 'value', value, unit: this.#samples.unit(index) };
  }

  /** Whether the streams that were added are those of the settled part, so that no envelope is missing between them. */
  goesOnFrom({ streams }: SettledWindow): boolean {
    return this.#streams.fingerprint() === streams;
  }

  forgetSettled(): void {
    this.#samples.forgetSettled();
  }

  /** The settled part for the next cycle, where the read began at `fromNs`; null: that has to read the whole window. */
  settle(fromNs: bigint): SettledWindow | null {
    const untilNs = this.#streams.settledUntil(fromNs, this.window.endNs);
    const samples = this.#samples.settle(untilNs);
    return samples && { untilNs, ...samples, streams: this.#streams.fingerprint(untilNs) };
  }

  get containers(): ContainerCounts {
    return { web: this.#webContainers.size, others: this.#otherContainers.size };
  }

  /** Samples and quotas that were not finite, beyond int64 or (quotas) not positive. */
  get droppedSamples(): number {
    return this.#dropped;
  }
}

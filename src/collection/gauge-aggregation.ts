import type { GaugeEnvelope } from '../log-cache/log-cache.js';
import { counts, instanceOf } from './envelopes.js';
import type { MetricOutcome, SettledWindow } from './job.js';
import { fitsInt64 } from './mean.js';
import { type GaugeMetricType, gaugeMetricType } from './metric-types.js';
import { type Window, WindowSamples } from './window-samples.js';

interface MetricType extends GaugeMetricType {
  /** As the rules name it. */
  readonly metricType: string;
  readonly index: number;
  /** Usage and quota of one instance at one time; they arrive in separate envelopes and in any order. */
  readonly pairs: Map<string, { usage?: number; quota?: number }>;
}

/**
 * Turns one app's gauges of one stat window into app metrics: every sample is rounded up, the app metric is the mean
 * over all samples of all instances, rounded up. Envelopes may come in any order, combined or split, page by page;
 * those of the settled part of the window have been summed up by earlier rounds.
 */
export class GaugeAggregation {
  readonly #types: readonly MetricType[];
  readonly #byGauge = new Map<string, MetricType[]>();
  readonly #samples: WindowSamples;
  readonly #containers = new Set<string>();
  readonly #customInstances = new Set<string>();
  #dropped = 0;

  constructor(metricTypes: readonly string[], window: Window) {
    this.#types = [...new Set(metricTypes)].map((metricType, index) => ({
      ...gaugeMetricType(metricType),
      metricType,
      index,
      pairs: new Map(),
    }));
    for (const type of this.#types) {
      for (const gauge of type.quota === null ? [type.gauge] : [type.gauge, type.quota]) {
        this.#byGauge.set(gauge, [...(this.#byGauge.get(gauge) ?? []), type]);
      }
    }
    this.#samples = new WindowSamples(this.#types.length, window);
  }

  add(envelopes: readonly GaugeEnvelope[]): void {
    for (const envelope of envelopes) {
      if (counts(envelope)) this.#addEnvelope(envelope);
    }
  }

  #addEnvelope(envelope: GaugeEnvelope): void {
    const { timestamp } = envelope;
    const instance = instanceOf(envelope);
    for (const { name, value, unit } of envelope.metrics) {
      const interested = this.#byGauge.get(name);
      if (!interested) continue;
      if (!fitsInt64(value)) {
        this.#dropped++;
        continue;
      }
      for (const type of interested) {
        const sample =
          type.quota === null
            ? Math.ceil(value / type.divisor)
            : this.#percentage(type, name, value, `${timestamp} ${instance}`);
        if (sample === null) continue;
        this.#samples.add(type.index, timestamp, sample, unit);
        (type.unit === null ? this.#customInstances : this.#containers).add(instance);
      }
    }
  }

  /** Usage in percent of the quota, once for each pair; null where this is not what completes one. */
  #percentage(type: MetricType, gauge: string, value: number, key: string): number | null {
    const isQuota = gauge === type.quota;
    if (isQuota && value <= 0) return this.#drop();
    const pair = type.pairs.get(key) ?? {};
    const part = isQuota ? 'quota' : 'usage';
    // More of the same instance and time cannot be told from a repetition.
    if (pair[part] !== undefined) return null;
    pair[part] = value;
    type.pairs.set(key, pair);
    if (pair.usage === undefined || pair.quota === undefined) return null;

    // Multiplied first: 7 of 100 is 7 %, but 7 / 100 * 100 is a little more and would round up to 8.
    const percent = Math.ceil((pair.usage * 100) / pair.quota);
    return fitsInt64(percent) ? percent : this.#drop();
  }

  #drop(): null {
    this.#dropped++;
    return null;
  }

  outcomes(): Record<string, MetricOutcome> {
    // fromEntries makes an own property even of "__proto__", which is a valid name of a custom metric.
    return Object.fromEntries(this.#types.map((type) => [type.metricType, this.#outcome(type)]));
  }

  #outcome({ index, unit }: MetricType): MetricOutcome {
    const value = this.#samples.mean(index).ceil();
    return value === null
      ? { kind: 'no-data' }
      : { kind: 'value', value, unit: unit ?? this.#samples.unit(index) };
  }

  /** What the next round need not read again; null if it has to read the whole window. */
  settle(untilNs: bigint): SettledWindow | null {
    return this.#samples.settle(untilNs);
  }

  /** Instances with container metrics; where none were asked for, those with custom metrics. Settled ones are not known. */
  get instances(): number {
    return this.#containers.size || this.#customInstances.size;
  }

  /** Samples and quotas that were not finite, beyond int64 or (quotas) not positive. */
  get droppedSamples(): number {
    return this.#dropped;
  }
}

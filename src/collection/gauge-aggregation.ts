import type { GaugeEnvelope } from '../log-cache/log-cache.js';
import { counts, instanceOf } from './envelopes.js';
import type { MetricOutcome } from './job.js';
import { fitsInt64, Mean } from './mean.js';
import { type GaugeMetricType, gaugeMetricType } from './metric-types.js';

/**
 * Turns one app's gauges of one stat window into app metrics: every sample is rounded up, the app metric is the mean
 * over all samples of all instances, rounded up. Envelopes may come in any order, combined or split, page by page.
 */
export class GaugeAggregation {
  readonly #byMetricType = new Map<string, MetricTypeSamples>();
  readonly #byGauge = new Map<string, MetricTypeSamples[]>();
  readonly #containers = new Set<string>();
  readonly #customInstances = new Set<string>();
  #dropped = 0;

  constructor(metricTypes: readonly string[]) {
    for (const metricType of new Set(metricTypes)) {
      const type = gaugeMetricType(metricType);
      const samples = new MetricTypeSamples(type);
      this.#byMetricType.set(metricType, samples);
      for (const gauge of type.quota === null ? [type.gauge] : [type.gauge, type.quota]) {
        this.#byGauge.set(gauge, [...(this.#byGauge.get(gauge) ?? []), samples]);
      }
    }
  }

  add(envelopes: readonly GaugeEnvelope[]): void {
    for (const envelope of envelopes) {
      if (counts(envelope)) this.#addEnvelope(envelope);
    }
  }

  #addEnvelope(envelope: GaugeEnvelope): void {
    const instance = instanceOf(envelope);
    for (const metric of envelope.metrics) {
      const interested = this.#byGauge.get(metric.name);
      if (!interested) continue;
      if (!fitsInt64(metric.value)) {
        this.#dropped++;
        continue;
      }
      for (const samples of interested) {
        const result = samples.add(metric.name, metric.value, instance, envelope.timestamp, metric.unit);
        if (result === 'dropped') this.#dropped++;
        if (result === 'counted') (samples.isCustom ? this.#customInstances : this.#containers).add(instance);
      }
    }
  }

  outcomes(): Record<string, MetricOutcome> {
    // fromEntries makes an own property even of "__proto__", which is a valid name of a custom metric.
    return Object.fromEntries(
      [...this.#byMetricType].map(([metricType, samples]) => [metricType, samples.outcome()]),
    );
  }

  /** Instances with container metrics; where none were asked for, those with custom metrics. */
  get instances(): number {
    return this.#containers.size || this.#customInstances.size;
  }

  /** Samples and quotas that were not finite, beyond int64 or (quotas) not positive. */
  get droppedSamples(): number {
    return this.#dropped;
  }
}

class MetricTypeSamples {
  readonly #mean = new Mean();
  /** Usage and quota of one instance at one time; they arrive in separate envelopes and in any order. */
  readonly #pairs = new Map<string, { usage?: number; quota?: number }>();
  #unit = '';
  #unitTimestamp: bigint | null = null;

  constructor(readonly type: GaugeMetricType) {}

  get isCustom(): boolean {
    return this.type.unit === null;
  }

  add(
    gauge: string,
    value: number,
    instance: string,
    timestamp: string,
    unit: string,
  ): 'counted' | 'dropped' | 'pending' {
    if (this.type.quota !== null) return this.#addToPair(gauge, value, `${timestamp} ${instance}`);
    this.#mean.add(Math.ceil(value / this.type.divisor));
    if (this.isCustom) this.#noteUnit(unit, BigInt(timestamp));
    return 'counted';
  }

  outcome(): MetricOutcome {
    const value = this.#mean.ceil();
    return value === null
      ? { kind: 'no-data' }
      : { kind: 'value', value, unit: this.type.unit ?? this.#unit };
  }

  /** A pair counts once: more of the same instance and time cannot be told from a repetition. */
  #addToPair(gauge: string, value: number, key: string): 'counted' | 'dropped' | 'pending' {
    const isQuota = gauge === this.type.quota;
    if (isQuota && value <= 0) return 'dropped';
    const pair = this.#pairs.get(key) ?? {};
    const part = isQuota ? 'quota' : 'usage';
    if (pair[part] !== undefined) return 'pending';
    pair[part] = value;
    this.#pairs.set(key, pair);
    if (pair.usage === undefined || pair.quota === undefined) return 'pending';

    // Multiplied first: 7 of 100 is 7 %, but 7 / 100 * 100 is a little more and would round up to 8.
    const percent = Math.ceil((pair.usage * 100) / pair.quota);
    if (!fitsInt64(percent)) return 'dropped';
    this.#mean.add(percent);
    return 'counted';
  }

  /** The newest unit is the app metric's: it may change when a new version of the app is rolled out. */
  #noteUnit(unit: string, timestamp: bigint): void {
    if (this.#unitTimestamp !== null && timestamp <= this.#unitTimestamp) return;
    this.#unitTimestamp = timestamp;
    this.#unit = unit;
  }
}

import type { SimulatedApp } from './app-model.js';
import type { Apps } from './apps.js';
import { containerMetric, isContainerMetric, tickLayout, unitOf } from './container-metrics.js';
import { tallyRequests } from './http-requests.js';
import type { LogCacheStore } from './log-cache-store.js';
import { customMetricSamples } from './model-envelopes.js';

export interface TrueSample {
  /** µs since the epoch. */
  readonly timestampUs: number;
  readonly instanceId: string;
  /** Empty for custom metrics, which carry no tags. */
  readonly processInstanceId: string;
  readonly unit: string;
  readonly value: number;
  /** A gauge of Diego's rep, not a custom metric. */
  readonly fromContainer: boolean;
}

export interface TrueRequests {
  readonly instanceId: string;
  readonly processInstanceId: string;
  readonly count: number;
  /** Of the response times, in ns. */
  readonly sumNs: number;
}

/** The value that an eventgenerator should come to. */
export interface ExpectedAppMetric {
  readonly value: bigint;
  readonly unit: string;
}

const bytesPerMiB = 1_048_576;
/** Gauges that a metric type is made of, and its unit. */
const gaugesOf: Readonly<Record<string, { gauge: string; quota?: string; unit: string }>> = {
  cpu: { gauge: 'cpu', unit: '%' },
  cpuutil: { gauge: 'cpu_entitlement', unit: '%' },
  memoryused: { gauge: 'memory', unit: 'MB' },
  memoryutil: { gauge: 'memory', quota: 'memory_quota', unit: '%' },
  disk: { gauge: 'disk', unit: 'MB' },
  diskutil: { gauge: 'disk', quota: 'disk_quota', unit: '%' },
};

/**
 * What is really so, straight from the apps' models: no page, no filter, no query in between. Tests hold against it
 * what was collected through all of these. Windows are [fromUs, toUs) in µs since the epoch, and end at the present.
 */
export class Truth {
  constructor(
    private readonly apps: Pick<Apps, 'get'>,
    private readonly store: LogCacheStore,
  ) {}

  /** Every sample of a gauge that counts: of web containers and of custom metrics, injected ones included. */
  samples(appId: string, gauge: string, fromUs: number, toUs: number): TrueSample[] {
    const app = this.apps.get(appId);
    const untilUs = Math.min(toUs, this.store.visibleUntilUs);
    const computed = !app || app.silent ? [] : [...modelSamples(app, gauge, fromUs, untilUs)];
    return [...computed, ...this.#injectedSamples(appId, gauge, fromUs, toUs)];
  }

  /** Requests by instance, as gorouter's `Client` events count them; instances without any are left out. */
  requests(appId: string, fromUs: number, toUs: number): TrueRequests[] {
    const app = this.apps.get(appId);
    if (!app || app.silent) return [];
    const untilUs = Math.min(toUs, this.store.visibleUntilUs);
    return app.containers.flatMap((container) => {
      const { count, sumUs } = tallyRequests(app, container, 'Client', fromUs, untilUs);
      if (count === 0) return [];
      const { instanceId, processInstanceId } = container;
      return [{ instanceId, processInstanceId, count, sumNs: sumUs * 1000 }];
    });
  }

  /** The app metric that follows from the samples; null is *no data*. Not for throughput and responsetime. */
  expectedGaugeMetric(
    appId: string,
    metricType: string,
    fromUs: number,
    toUs: number,
    hasArrived: (sample: TrueSample) => boolean = () => true,
  ): ExpectedAppMetric | null {
    const standard = gaugesOf[metricType];
    const samples = this.samples(appId, standard?.gauge ?? metricType, fromUs, toUs).filter(
      // Container gauges count under the names of the standard metric types only.
      (sample) => (standard !== undefined || !sample.fromContainer) && hasArrived(sample),
    );
    const quotas = new Map(
      (standard?.quota ? this.samples(appId, standard.quota, fromUs, toUs) : []).map((quota) => [
        instantOf(quota),
        quota.value,
      ]),
    );
    const values = samples.flatMap((sample) => {
      if (!Number.isFinite(sample.value)) return [];
      if (standard?.unit === 'MB') return [ceil(sample.value / bytesPerMiB)];
      if (!standard?.quota) return [ceil(sample.value)];
      const quota = quotas.get(instantOf(sample)) ?? 0;
      return quota > 0 ? [ceil((sample.value / quota) * 100)] : [];
    });
    return expected(values, standard?.unit ?? samples.at(-1)?.unit ?? '');
  }

  /** throughput and responsetime of a window of whole seconds; null where there was no request. */
  expectedHttpMetric(
    appId: string,
    metricType: 'throughput' | 'responsetime',
    fromUs: number,
    toUs: number,
  ): ExpectedAppMetric | null {
    const secs = (toUs - fromUs) / 1e6;
    const throughput = metricType === 'throughput';
    // Two containers with one index are one instance to PromQL, which groups by the envelope's instance id.
    const instances = new Map<string, { count: number; sumNs: number }>();
    for (const { instanceId, count, sumNs } of this.requests(appId, fromUs, toUs)) {
      const instance = instances.get(instanceId) ?? { count: 0, sumNs: 0 };
      instances.set(instanceId, { count: instance.count + count, sumNs: instance.sumNs + sumNs });
    }
    const values = [...instances.values()].map(({ count, sumNs }) =>
      ceil(throughput ? count / secs : sumNs / count / 1e6),
    );
    return expected(values, throughput ? 'rps' : 'ms');
  }

  #injectedSamples(appId: string, gauge: string, fromUs: number, toUs: number): TrueSample[] {
    const wanted = { types: new Set(['GAUGE'] as const), nameFilter: (name: string) => name === gauge };
    return this.store.injectedEnvelopes(appId, wanted, fromUs, toUs).flatMap((envelope) => {
      const { tags, body } = envelope;
      const metric = body.type === 'GAUGE' ? body.metrics[gauge] : undefined;
      if (!metric || (tags['origin'] === 'rep' && tags['process_type'] !== 'web')) return [];
      return [
        {
          timestampUs: envelope.timestampUs,
          instanceId: envelope.instanceId,
          processInstanceId: tags['process_instance_id'] ?? '',
          fromContainer: tags['origin'] === 'rep',
          ...metric,
        },
      ];
    });
  }
}

function* modelSamples(
  app: SimulatedApp,
  gauge: string,
  fromUs: number,
  toUs: number,
): Generator<TrueSample> {
  const custom = app.settings.customMetrics.find((metric) => metric.name === gauge);
  const layout = tickLayout.find((group) => group.names.some((name) => name === gauge));
  for (const container of app.containers) {
    if (container.processType !== 'web') continue;
    const { instanceId, processInstanceId } = container;
    if (custom) {
      for (const sample of customMetricSamples(app, container, custom, fromUs, toUs)) {
        yield { ...sample, instanceId, processInstanceId: '', unit: custom.unit, fromContainer: false };
      }
    } else if (layout && isContainerMetric(gauge)) {
      for (
        let tick = container.tickAtOrAfter(Math.max(container.startedUs, fromUs - layout.offsetUs));
        ;
        tick++
      ) {
        const tickUs = container.tickTimeUs(tick);
        if (tickUs + layout.offsetUs >= toUs || tickUs >= container.stoppedUs) break;
        const value = containerMetric(app, container, tick, gauge);
        const timestampUs = tickUs + layout.offsetUs;
        yield { timestampUs, instanceId, processInstanceId, unit: unitOf(gauge), value, fromContainer: true };
      }
    }
  }
}

function instantOf(sample: TrueSample): string {
  return `${sample.processInstanceId}/${sample.instanceId}/${sample.timestampUs}`;
}

function ceil(value: number): bigint {
  return BigInt(Math.ceil(value));
}

/** The mean, rounded up. */
function expected(values: readonly bigint[], unit: string): ExpectedAppMetric | null {
  if (values.length === 0) return null;
  const sum = values.reduce((a, b) => a + b, 0n);
  const count = BigInt(values.length);
  const down = sum / count;
  return { value: sum > 0n && sum % count !== 0n ? down + 1n : down, unit };
}

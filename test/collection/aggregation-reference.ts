import type { MetricOutcome } from '../../src/collection/pool/job.js';
import type { GaugeEnvelope } from '../../src/log-cache/log-cache.js';

/*
 * The app metric of one gauge metric type, written from the design's text alone: plain, slow, and without a thought
 * for memory or pages. Test inputs keep to at most one usage and one quota of an instance and time.
 */

interface Sample {
  readonly envelope: GaugeEnvelope;
  readonly value: number;
  readonly unit: string;
}

/** memory* and disk* in MiB as "MB", *util and cpu in "%", custom metrics in the unit of their envelope. */
export function referenceOutcome(metricType: string, envelopes: readonly GaugeEnvelope[]): MetricOutcome {
  const samples = (name: string) => finiteSamplesOf(name, envelopes);
  const bytes = (name: string) => samples(name).map(({ value }) => Math.ceil(value / 1_048_576));
  const plain = (name: string) => samples(name).map(({ value }) => Math.ceil(value));
  switch (metricType) {
    case 'memoryused':
      return ceilOfMean(bytes('memory'), 'MB');
    case 'disk':
      return ceilOfMean(bytes('disk'), 'MB');
    case 'memoryutil':
      return ceilOfMean(percentages(samples('memory'), samples('memory_quota')), '%');
    case 'diskutil':
      return ceilOfMean(percentages(samples('disk'), samples('disk_quota')), '%');
    case 'cpu':
      return ceilOfMean(plain('cpu'), '%');
    case 'cpuutil':
      return ceilOfMean(plain('cpu_entitlement'), '%');
    default:
      return customMetric(
        finiteSamplesOf(
          metricType,
          envelopes.filter(({ tags }) => tags['origin'] !== 'rep'),
        ),
      );
  }
}

/** Container gauges (origin rep) count under the names of the standard metric types only. */
function customMetric(samples: readonly Sample[]): MetricOutcome {
  return ceilOfMean(
    samples.map(({ value }) => Math.ceil(value)),
    newestUnit(samples),
  );
}

/** An envelope with tag origin=rep counts only if its tag process_type is web. NaN, infinite, beyond int64: dropped. */
function finiteSamplesOf(name: string, envelopes: readonly GaugeEnvelope[]): Sample[] {
  return envelopes
    .filter(({ tags }) => !(tags['origin'] === 'rep' && tags['process_type'] !== 'web'))
    .flatMap((envelope) => envelope.metrics.map((metric) => ({ envelope, ...metric })))
    .filter((sample) => sample.name === name)
    .filter(({ value }) => Number.isFinite(value) && value >= -(2 ** 63) && value < 2 ** 63);
}

/** memoryutil and diskutil need usage and quota of the same instance and timestamp; quotas ≤ 0 are dropped. */
function percentages(usages: readonly Sample[], quotas: readonly Sample[]): number[] {
  return usages.flatMap((usage) => {
    const quota = quotas.find(
      ({ envelope, value }) =>
        value > 0 &&
        envelope.timestamp === usage.envelope.timestamp &&
        instanceOf(envelope) === instanceOf(usage.envelope),
    );
    if (!quota) return [];
    const percent = Math.ceil((usage.value * 100) / quota.value);
    return percent >= -(2 ** 63) && percent < 2 ** 63 ? [percent] : [];
  });
}

function instanceOf({ tags, instanceId }: GaugeEnvelope): string {
  return tags['process_instance_id'] || instanceId;
}

function newestUnit(samples: readonly Sample[]): string {
  const byAge = [...samples].sort((a, b) =>
    Number(BigInt(b.envelope.timestamp) - BigInt(a.envelope.timestamp)),
  );
  return byAge[0]?.unit ?? '';
}

function ceilOfMean(values: readonly number[], unit: string): MetricOutcome {
  if (values.length === 0) return { kind: 'no-data' };
  const sum = values.reduce((total, value) => total + BigInt(value), 0n);
  let value = sum / BigInt(values.length) - 1n;
  while (value * BigInt(values.length) < sum) value += 1n;
  return { kind: 'value', value, unit };
}

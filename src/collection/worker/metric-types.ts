/*
 * Which gauges the metric types of rules are made of. A metric type that is neither in the table below nor an http
 * metric type is a custom metric: the gauge of that name, unless a container reports it (origin "rep"). Otherwise a
 * rule on `memory` would count bytes that its author took for MB; the Go eventgenerator has no data for it either.
 */

export interface GaugeMetricType {
  /** Name of the gauge that is measured. */
  readonly gauge: string;
  /** Name of the gauge that the first is a percentage of; null where there is none. */
  readonly quota: string | null;
  /** The gauge's value is divided by this. */
  readonly divisor: number;
  /** null: a custom metric, in the unit that the envelopes name. */
  readonly unit: string | null;
}

const mebibyte = 1024 * 1024;

const containerMetricTypes = new Map<string, GaugeMetricType>([
  ['memoryused', { gauge: 'memory', quota: null, divisor: mebibyte, unit: 'MB' }],
  ['memoryutil', { gauge: 'memory', quota: 'memory_quota', divisor: 1, unit: '%' }],
  ['cpu', { gauge: 'cpu', quota: null, divisor: 1, unit: '%' }],
  ['cpuutil', { gauge: 'cpu_entitlement', quota: null, divisor: 1, unit: '%' }],
  ['disk', { gauge: 'disk', quota: null, divisor: mebibyte, unit: 'MB' }],
  ['diskutil', { gauge: 'disk', quota: 'disk_quota', divisor: 1, unit: '%' }],
]);

export function gaugeMetricType(metricType: string): GaugeMetricType {
  return containerMetricTypes.get(metricType) ?? { gauge: metricType, quota: null, divisor: 1, unit: null };
}

/** The gauges that a read for these metric types has to ask for, each once. */
export function gaugesOf(metricTypes: readonly string[]): string[] {
  const gauges = new Set<string>();
  for (const metricType of metricTypes) {
    const { gauge, quota } = gaugeMetricType(metricType);
    gauges.add(gauge);
    if (quota !== null) gauges.add(quota);
  }
  return [...gauges];
}

/** The gauge that every running container sends and no operator can switch off. */
export const presenceGauge = 'cpu';

const unfilterableGauges = new Set([presenceGauge, 'memory', 'disk', 'memory_quota', 'disk_quota']);

export function isContainerGauge(name: string): boolean {
  return unfilterableGauges.has(name) || name === 'cpu_entitlement';
}

/** Whether a read of these gauges that finds none proves that no container of the app runs. */
export function provesAbsence(gauges: readonly string[]): boolean {
  return gauges.some((name) => unfilterableGauges.has(name));
}

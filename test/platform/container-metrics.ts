import type { SimulatedApp } from './app-model.js';
import type { Container } from './container.js';
import { fraction, mix } from './deterministic.js';

const bytesPerMiB = 1_048_576;

/**
 * What diego emits for one container at one tick, in original envelopes: the metrics of one of them share a
 * timestamp, and the syslog ingress makes an envelope of each.
 */
export const tickLayout = [
  { offsetUs: 0, type: 'GAUGE', names: ['cpu', 'memory', 'disk', 'memory_quota', 'disk_quota'] },
  {
    offsetUs: 35,
    type: 'GAUGE',
    names: ['container_age', 'cpu_entitlement', 'absolute_usage', 'absolute_entitlement'],
  },
  { offsetUs: 51, type: 'COUNTER', names: ['rx_bytes'] },
  { offsetUs: 57, type: 'COUNTER', names: ['tx_bytes'] },
  { offsetUs: 80, type: 'GAUGE', names: ['log_rate', 'log_rate_limit'] },
] as const;

export type ContainerMetricName = (typeof tickLayout)[number]['names'][number];

/** How long after its tick a container's last metric is stamped. */
export const tickSpanUs = 80;

const units: Readonly<Record<ContainerMetricName, string>> = {
  cpu: 'percentage',
  memory: 'bytes',
  disk: 'bytes',
  memory_quota: 'bytes',
  disk_quota: 'bytes',
  container_age: 'nanoseconds',
  cpu_entitlement: 'percentage',
  absolute_usage: 'nanoseconds',
  absolute_entitlement: 'nanoseconds',
  rx_bytes: '',
  tx_bytes: '',
  log_rate: 'B/s',
  log_rate_limit: 'B/s',
};

export function unitOf(name: ContainerMetricName): string {
  return units[name];
}

export function isContainerMetric(name: string): name is ContainerMetricName {
  return name in units;
}

/** The value of one metric of one container at one of its ticks. */
export function containerMetric(
  app: SimulatedApp,
  container: Container,
  tick: number,
  name: ContainerMetricName,
): number {
  const { settings } = app;
  const timeUs = container.tickTimeUs(tick);
  const ageUs = timeUs - container.startedUs;
  switch (name) {
    case 'cpu':
      return cpuPercent(app, container, tick, timeUs);
    case 'cpu_entitlement':
      return (cpuPercent(app, container, tick, timeUs) / settings.entitledCpuPercent) * 100;
    case 'memory': {
      const loaded = container.processType === 'web' ? app.shareAt(timeUs).memoryMiB : 0;
      const wantedMiB = (settings.idleMemoryMiB + loaded) * scatter(app, container, tick, 11);
      return Math.floor(Math.min(wantedMiB, settings.memoryQuotaMiB) * bytesPerMiB);
    }
    case 'memory_quota':
      return settings.memoryQuotaMiB * bytesPerMiB;
    case 'disk':
      return Math.floor(settings.diskMiB * bytesPerMiB + (ageUs / 1e6) * 64);
    case 'disk_quota':
      return settings.diskQuotaMiB * bytesPerMiB;
    case 'container_age':
      return ageUs * 1000;
    case 'absolute_entitlement':
      return Math.round(ageUs * 10 * settings.entitledCpuPercent);
    // Totals since the start would need the whole past; these grow with age, which is all that anyone looks at.
    case 'absolute_usage':
      return Math.round(ageUs * 5 * settings.entitledCpuPercent);
    case 'rx_bytes':
    case 'tx_bytes':
      return Math.floor(ageUs / 1e3);
    case 'log_rate':
      return 120;
    case 'log_rate_limit':
      return -1;
  }
}

function cpuPercent(app: SimulatedApp, container: Container, tick: number, timeUs: number): number {
  if (tick === container.firstTick) return 0;
  const work = container.processType === 'web' ? app.shareAt(timeUs).cpuPercent : container.cpuPercent;
  return work * scatter(app, container, tick, 7);
}

/** A factor around 1. */
function scatter(app: SimulatedApp, container: Container, tick: number, metric: number): number {
  const { noise } = app.settings;
  return noise === 0 ? 1 : 1 + noise * (2 * fraction(mix(mix(container.seed, metric), tick)) - 1);
}

import type { CustomMetric, SimulatedApp } from './app-model.js';
import {
  containerMetric,
  tickLayout,
  tickSpanUs,
  unitOf,
  type ContainerMetricName,
} from './container-metrics.js';
import type { Container } from './container.js';
import { fraction, hashText, mix } from './deterministic.js';
import type { EnvelopeType, StoredEnvelope } from './envelope.js';
import { requestsBetween, tallyRequests } from './http-requests.js';
import type { NameFilter } from './name-filter.js';

/** Which envelopes someone wants to see. */
export interface Wanted {
  /** null: all types. */
  readonly types: ReadonlySet<EnvelopeType> | null;
  /** null: all names, also of envelopes that have none. */
  readonly nameFilter: NameFilter | null;
}

export function wants(wanted: Wanted, type: EnvelopeType, name: string): boolean {
  return (wanted.types?.has(type) ?? true) && (wanted.nameFilter?.(name) ?? true);
}

/** The envelopes of an app with timestamps in [fromUs, toUs), oldest first, computed from its model. */
export function modelEnvelopes(
  app: SimulatedApp,
  wanted: Wanted,
  fromUs: number,
  toUs: number,
): StoredEnvelope[] {
  if (app.silent || fromUs >= toUs) return [];
  const found: StoredEnvelope[] = [];
  const layout = tickLayout.map((group) => ({
    ...group,
    wanted: group.names.map((name) => wants(wanted, group.type, name)),
  }));
  const anyContainerMetric = layout.some((group) => group.wanted.includes(true));
  const customMetrics = app.settings.customMetrics.filter((metric) => wants(wanted, 'GAUGE', metric.name));
  const timers = wants(wanted, 'TIMER', 'http');
  // Log lines have no name that a filter could match.
  const logs = wanted.nameFilter === null && wants(wanted, 'LOG', '');
  for (const container of app.containers) {
    if (anyContainerMetric) addContainerMetrics(found, app, container, layout, fromUs, toUs);
    if (container.processType !== 'web') continue;
    for (const metric of customMetrics) {
      for (const sample of customMetricSamples(app, container, metric, fromUs, toUs)) {
        found.push({
          ...sample,
          sourceId: app.guid,
          instanceId: container.instanceId,
          tags: noTags,
          body: { type: 'GAUGE', metrics: { [metric.name]: { unit: metric.unit, value: sample.value } } },
          firstOfTimestamp: true,
        });
      }
    }
    if (timers) addTimers(found, app, container, fromUs, toUs);
    if (logs) addRouterLines(found, app, container, fromUs, toUs);
  }
  if (logs) addOwnLines(found, app, fromUs, toUs);
  return found.sort((a, b) => a.timestampUs - b.timestampUs);
}

/** Gauges, counters and timers of an app with timestamps in [fromUs, toUs), up to those of the ticks at either end. */
export function countModelMetrics(app: SimulatedApp, fromUs: number, toUs: number): number {
  if (app.silent) return 0;
  let count = 0;
  for (const container of app.containers) {
    const secs = (Math.min(toUs, container.stoppedUs) - Math.max(fromUs, container.startedUs)) / 1e6;
    if (secs <= 0) continue;
    count += (secs / app.settings.tickSecs) * metricsPerTick;
    if (container.processType !== 'web') continue;
    for (const { intervalSecs } of app.settings.customMetrics) count += secs / intervalSecs;
    for (const peer of ['Client', 'Server'] as const) {
      count += tallyRequests(app, container, peer, fromUs, toUs).count;
    }
  }
  return count;
}

/** Likewise, with log lines: the router's for every request, and the app's own. */
export function countModelEnvelopes(app: SimulatedApp, fromUs: number, toUs: number): number {
  if (app.silent || fromUs >= toUs) return 0;
  const ownLines = (app.settings.logLinesPerSecond * (toUs - Math.max(fromUs, app.bornUs))) / 1e6;
  const routerLines = app.containers
    .filter(({ processType }) => processType === 'web')
    .reduce((sum, container) => sum + tallyRequests(app, container, 'Client', fromUs, toUs).count, 0);
  return Math.round(countModelMetrics(app, fromUs, toUs) + Math.max(0, ownLines) + routerLines);
}

const metricsPerTick = tickLayout.reduce((sum, { names }) => sum + names.length, 0);

/** Custom metrics that came in by syslog carry no tags. */
const noTags = {};

type WantedLayout = readonly ((typeof tickLayout)[number] & { readonly wanted: readonly boolean[] })[];

function addContainerMetrics(
  found: StoredEnvelope[],
  app: SimulatedApp,
  container: Container,
  layout: WantedLayout,
  fromUs: number,
  toUs: number,
): void {
  const firstTick = container.tickAtOrAfter(Math.max(fromUs - tickSpanUs, container.startedUs));
  if (container.tickTimeUs(firstTick) >= Math.min(toUs, container.stoppedUs)) return;
  const tags = container.tags();
  for (let tick = firstTick; ; tick++) {
    const tickUs = container.tickTimeUs(tick);
    if (tickUs >= toUs || tickUs >= container.stoppedUs) return;
    for (const group of layout) {
      const timestampUs = tickUs + group.offsetUs;
      if (timestampUs < fromUs || timestampUs >= toUs) continue;
      // The agent walks a Go map, so the order within a group differs from tick to tick.
      const rotation = mix(container.seed, tick) % group.names.length;
      for (let position = 0; position < group.names.length; position++) {
        const at = (position + rotation) % group.names.length;
        const name = group.names[at];
        if (name === undefined || !group.wanted[at]) continue;
        const value = containerMetric(app, container, tick, name);
        found.push({
          timestampUs,
          sourceId: app.guid,
          instanceId: container.instanceId,
          tags,
          body: containerMetricBody(group.type, name, value),
          firstOfTimestamp: position === 0,
        });
      }
    }
  }
}

function containerMetricBody(
  type: 'GAUGE' | 'COUNTER',
  name: ContainerMetricName,
  value: number,
): StoredEnvelope['body'] {
  return type === 'COUNTER'
    ? { type, name, total: value }
    : { type, metrics: { [name]: { unit: unitOf(name), value } } };
}

/** What one instance reports of a custom metric in [fromUs, toUs). */
export function* customMetricSamples(
  app: SimulatedApp,
  container: Container,
  metric: CustomMetric,
  fromUs: number,
  toUs: number,
): Generator<{ timestampUs: number; value: number }> {
  const intervalUs = Math.round(metric.intervalSecs * 1e6);
  const phaseUs = Math.floor(fraction(mix(container.seed, hashText(metric.name))) * intervalUs);
  const first = Math.ceil((Math.max(fromUs, container.startedUs) - phaseUs) / intervalUs);
  const endUs = Math.min(toUs, container.stoppedUs);
  for (let timestampUs = phaseUs + first * intervalUs; timestampUs < endUs; timestampUs += intervalUs) {
    const total = metric.total(app.secsAt(timestampUs));
    yield { timestampUs, value: total / Math.max(1, app.webCountAt(timestampUs)) };
  }
}

function addTimers(
  found: StoredEnvelope[],
  app: SimulatedApp,
  container: Container,
  fromUs: number,
  toUs: number,
): void {
  if (container.startedUs >= toUs || container.stoppedUs < fromUs - 1e6) return;
  const peers = [
    { peer: 'Client', tags: container.clientTags(), instanceId: container.instanceId },
    { peer: 'Server', tags: container.serverTags(), instanceId: '0' },
  ] as const;
  for (const { peer, tags, instanceId } of peers) {
    for (const request of requestsBetween(app, container, peer, fromUs, toUs)) {
      const stopUs = request.timestampUs - 3;
      found.push({
        timestampUs: request.timestampUs,
        sourceId: app.guid,
        instanceId,
        tags: { ...tags, request_id: request.id },
        body: { type: 'TIMER', name: 'http', startUs: stopUs - request.durationUs, stopUs },
        firstOfTimestamp: true,
      });
    }
  }
}

/** gorouter writes this much after its `Client` event what it has done. */
const routerLineAfterUs = 12;

function addRouterLines(
  found: StoredEnvelope[],
  app: SimulatedApp,
  container: Container,
  fromUs: number,
  toUs: number,
): void {
  const tags = { ...container.tags(), source_type: 'RTR' };
  for (const { timestampUs } of requestsBetween(
    app,
    container,
    'Client',
    fromUs - routerLineAfterUs,
    toUs - routerLineAfterUs,
  )) {
    found.push({
      timestampUs: timestampUs + routerLineAfterUs,
      sourceId: app.guid,
      instanceId: container.instanceId,
      tags,
      body: { type: 'LOG', payload: `${app.name}.example.com - "GET / HTTP/1.1" 200 0 512` },
      firstOfTimestamp: true,
    });
  }
}

/** What the app writes itself, at even distances. */
function addOwnLines(found: StoredEnvelope[], app: SimulatedApp, fromUs: number, toUs: number): void {
  const distanceUs = 1e6 / app.settings.logLinesPerSecond;
  const sinceUs = Math.max(fromUs, app.bornUs);
  for (let line = Math.ceil(sinceUs / distanceUs); line * distanceUs < toUs; line++) {
    found.push({
      timestampUs: Math.floor(line * distanceUs),
      sourceId: app.guid,
      instanceId: '0',
      tags: { source_type: 'APP/PROC/WEB' },
      body: { type: 'LOG', payload: `line ${line}` },
      firstOfTimestamp: true,
    });
  }
}

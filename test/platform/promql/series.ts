import type { SimulatedApp } from '../app-model.js';
import type { Apps } from '../apps.js';
import type { Container } from '../container.js';
import type { StoredEnvelope, Tags } from '../envelope.js';
import { requestsBetween, tallyRequests, type PeerType } from '../http-requests.js';
import type { LogCacheStore } from '../log-cache-store.js';
import { sourceIdsOf, type Matcher, type Selector } from './expression.js';

export interface Point {
  /** The whole second before the envelope's time: that is how log-cache stamps points. */
  readonly timeUs: number;
  readonly value: number;
}

/** One series: its labels and its points, oldest first. */
export interface Series {
  readonly labels: Tags;
  readonly points: readonly Point[];
}

/**
 * Requests of one instance, each a series of one point (its request_id makes it one): too many to be objects.
 * `labels` are what they have in common. Durations in ns.
 */
export interface RequestSeries {
  readonly labels: Tags;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

export class PromqlEngineError extends Error {
  override readonly name = 'PromqlEngineError';
}

/** The tag by which requests of one instance differ. */
export const requestLabel = 'request_id';
const maxSeries = 50_000;
const nsPerUs = 1000;

/** The same for the same labels, in whatever order. */
export function keyOf(labels: Tags): string {
  return JSON.stringify(Object.entries(labels).sort());
}

/** The points of a selector's metric in the store, as series. */
export class SeriesReader {
  constructor(
    private readonly store: LogCacheStore,
    private readonly apps: Pick<Apps, 'get'>,
  ) {}

  /** Every series apart. `computedRequests: false` leaves out the requests that `requests` counts. */
  series(selector: Selector, fromUs: number, toUs: number, computedRequests = true): Series[] {
    const found = new Map<string, { labels: Tags; points: Point[] }>();
    const add = (labels: Tags, timestampUs: number, value: number) => {
      const point = { timeUs: Math.floor(timestampUs / 1e6) * 1e6, value };
      const key = keyOf(labels);
      const series = found.get(key);
      if (series) series.points.push(point);
      else if (found.size < maxSeries) found.set(key, { labels, points: [point] });
      else throw tooMany();
    };
    const wanted = { types: metricTypes, nameFilter: (name: string) => sanitize(name) === selector.name };
    const tagMatchers = tagMatchersOf(selector);
    for (const sourceId of requiredSourceIds(selector)) {
      const envelopes =
        selector.name === 'http'
          ? named(walked(this.store.heldInjected(sourceId, anyMetric, fromUs, toUs)), wanted.nameFilter)
          : this.store.envelopes(sourceId, wanted, fromUs, toUs);
      for (const envelope of envelopes) {
        if (!matches(envelope.tags, tagMatchers)) continue;
        const labels = withIdentity(envelope.tags, sourceId, envelope.instanceId);
        add(labels, envelope.timestampUs, valueOf(envelope, wanted.nameFilter));
      }
    }
    if (selector.name !== 'http' || !computedRequests) return [...found.values()];
    for (const { app, container, peer, tags, instanceId, visible } of this.#emitters(
      selector,
      fromUs,
      toUs,
    )) {
      for (const request of requestsBetween(app, container, peer, ...visible)) {
        const requestTags = { ...tags, [requestLabel]: request.id };
        if (!matches(requestTags, tagMatchers)) continue;
        const labels = withIdentity(requestTags, app.guid, instanceId);
        add(labels, request.timestampUs, request.durationUs * nsPerUs);
      }
    }
    return [...found.values()];
  }

  /** The computed requests of a selector that does not look at request_id, by instance, peer and unbroken stretch. */
  requests(selector: Selector, fromUs: number, toUs: number): RequestSeries[] {
    if (selector.name !== 'http') return [];
    const found: RequestSeries[] = [];
    const tagMatchers = tagMatchersOf(selector);
    for (const { app, container, peer, tags, instanceId, visible } of this.#emitters(
      selector,
      fromUs,
      toUs,
    )) {
      if (!matches(tags, tagMatchers)) continue;
      const tally = tallyRequests(app, container, peer, ...visible);
      if (tally.count === 0) continue;
      found.push({
        labels: withIdentity(tags, app.guid, instanceId),
        count: tally.count,
        sum: tally.sumUs * nsPerUs,
        min: tally.minUs * nsPerUs,
        max: tally.maxUs * nsPerUs,
      });
    }
    return found;
  }

  /** The instances whose requests a selector may see, once for either peer type and each stretch without a gap. */
  *#emitters(selector: Selector, fromUs: number, toUs: number): Generator<Emitter> {
    const peers = peerTypes.filter((peer) =>
      selector.matchers.every(({ label, value }) => label !== 'peer_type' || value === peer),
    );
    for (const sourceId of requiredSourceIds(selector)) {
      const app = this.apps.get(sourceId);
      if (!app || app.silent) continue;
      const carried = this.store.httpForwarder.carried(this.#visible(app, fromUs, toUs));
      for (const container of app.containers) {
        if (container.processType !== 'web') continue;
        // Requests belong to the second at whose beginning an instance runs.
        if (container.stoppedUs < fromUs - 1e6 || container.startedUs >= toUs) continue;
        for (const peer of peers) {
          const client = peer === 'Client';
          const tags = client ? container.clientTags() : container.serverTags();
          const instanceId = client ? container.instanceId : '0';
          for (const visible of carried) yield { app, container, peer, tags, instanceId, visible };
        }
      }
    }
  }

  #visible({ guid }: SimulatedApp, fromUs: number, toUs: number): [fromUs: number, toUs: number] {
    return [this.store.heldSinceUs(guid, fromUs), Math.min(toUs, this.store.visibleUntilUs)];
  }
}

interface Emitter {
  readonly app: SimulatedApp;
  readonly container: Container;
  readonly peer: PeerType;
  readonly tags: Tags;
  readonly instanceId: string;
  /** What of the window log-cache holds and shows, µs since the epoch. */
  readonly visible: readonly [fromUs: number, toUs: number];
}

const pageLength = 100;

/**
 * What the walker behind PromQL gets of a source's envelopes, oldest first: it asks for pages of 100, and goes on one
 * nanosecond after the last of a page. A page ends at the first of a group with one timestamp; the rest is never read.
 */
function walked(envelopes: readonly StoredEnvelope[]): StoredEnvelope[] {
  const read: StoredEnvelope[] = [];
  let onPage = 0;
  let skippedUs: number | undefined;
  for (const envelope of envelopes) {
    if (envelope.timestampUs === skippedUs) continue;
    read.push(envelope);
    onPage++;
    if (onPage < pageLength || !envelope.firstOfTimestamp) continue;
    onPage = 0;
    skippedUs = envelope.timestampUs;
  }
  return read;
}

function named(
  envelopes: readonly StoredEnvelope[],
  nameFilter: (name: string) => boolean,
): StoredEnvelope[] {
  return envelopes.filter(({ body }) => 'name' in body && nameFilter(body.name));
}

const peerTypes = ['Client', 'Server'] as const;
const metricTypes = new Set(['GAUGE', 'COUNTER', 'TIMER'] as const);
const anyMetric = { types: metricTypes, nameFilter: null };

/** log-cache offers every stored name with `_` for what PromQL does not allow in a name. */
function sanitize(name: string): string {
  return name.replace(/^[^A-Za-z_]/, '_').replace(/\W/g, '_');
}

function requiredSourceIds(selector: Selector): string[] {
  const ids = sourceIdsOf(selector);
  if (ids.length > 0) return [...new Set(ids)];
  throw new PromqlEngineError(`metric '${selector.name}' does not have a 'source_id' label`);
}

function tagMatchersOf(selector: Selector): Matcher[] {
  return selector.matchers.filter(({ label }) => label !== 'source_id');
}

/** log-cache takes every operator for equality, and looks at the tags only, before it adds source_id and instance_id. */
function matches(tags: Tags, matchers: readonly Matcher[]): boolean {
  return matchers.every(({ label, value }) => tags[label] === value);
}

/** The envelope's own instance id replaces the tag of that name, unless it is empty. */
function withIdentity(tags: Tags, sourceId: string, instanceId: string): Tags {
  return { ...tags, source_id: sourceId, ...(instanceId === '' ? {} : { instance_id: instanceId }) };
}

function valueOf({ body }: StoredEnvelope, nameMatches: (name: string) => boolean): number {
  switch (body.type) {
    case 'GAUGE':
      return Object.entries(body.metrics).find(([name]) => nameMatches(name))?.[1].value ?? NaN;
    case 'COUNTER':
      return body.total;
    case 'TIMER':
      return (body.stopUs - body.startUs) * nsPerUs;
    case 'LOG':
    case 'EVENT':
      return NaN;
  }
}

function tooMany(): PromqlEngineError {
  return new PromqlEngineError('query processing would load too many samples into memory in query execution');
}

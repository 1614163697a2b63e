import type { Clock } from '../../src/util/clock.js';
import type { Apps } from './apps.js';
import type { Envelope, EnvelopeType, StoredEnvelope } from './envelope.js';
import { HttpForwarder } from './http-forwarder.js';
import { LogCacheNodes } from './log-cache-nodes.js';
import { modelEnvelopes, wants, type Wanted } from './model-envelopes.js';
import { compileNameFilter } from './name-filter.js';
import { evaluatePromql, type PromqlResult } from './promql/evaluate.js';
import { instantQueryOf, type PromqlQuery } from './promql/query.js';
import { SeriesReader } from './promql/series.js';
import { evictedUntilUs } from './retention.js';

export interface ReadParameters {
  readonly sourceId: string;
  /** ns since the epoch, inclusive. 0: the oldest. */
  readonly startNs: bigint;
  /** ns since the epoch, exclusive. 0: now. */
  readonly endNs: bigint;
  /** 0: 100. */
  readonly limit: number;
  /** Empty: all. */
  readonly types: readonly EnvelopeType[];
  readonly descending: boolean;
  /** A regular expression; empty: none. */
  readonly nameFilter: string;
}

export interface QueryResult {
  /** Evaluation time, which all samples carry. ms since the epoch. */
  readonly timeMs: number;
  readonly result: PromqlResult;
}

/** A request that log-cache refuses, with the text and gRPC status UNKNOWN it would answer. */
export class ReadRefused extends Error {
  override readonly name = 'ReadRefused';
}

/** What one instance reports under one name. */
export interface StreamOfApp {
  readonly appId: string;
  readonly instanceId: string;
  /** null: a custom metric, which does not come from the cell. */
  readonly cellId: string | null;
  readonly name: string;
}

export interface StoreOptions {
  /** How far back envelopes can be read, in milliseconds. */
  readonly retentionMs: number;
  /** An app's envelopes appear this much after their timestamp. */
  readonly ingestLagMs: number;
  /**
   * How much later than that the gauges and counters of one stream appear: those of a slow cell, or of one metric. A
   * fraction of a second is usual, seconds under load, tens of seconds from single cells. Default: no later.
   */
  readonly lateMs?: (stream: StreamOfApp, timestampUs: number) => number;
  /** log-cache's MAX_PER_SOURCE: so many envelopes of all types are kept of a source, the oldest go. */
  readonly maxPerSource?: number;
  /** Default: one that never fails. */
  readonly nodes?: LogCacheNodes;
  /** Likewise. */
  readonly httpForwarder?: HttpForwarder;
}

interface InjectedEnvelope extends StoredEnvelope {
  readonly arrivedUs: number;
}

const defaultLimit = 100;
const maxLimit = 1000;
const defaultMaxPerSource = 100_000;
/** Timers can be many thousand in a second. */
const timerSliceUs = 1e6;
/** A tick of container metrics, of which about this many envelopes are usually asked for. */
const tickUs = 15e6;
const gaugesPerTick = 5;
const maxGaugeSliceUs = 300e6;

/**
 * What log-cache knows: envelopes computed from the apps' models when they are asked for, and envelopes that tests
 * put in. Transport-independent, so that REST and gRPC can serve the same.
 */
export class LogCacheStore {
  readonly #injected = new Map<string, InjectedEnvelope[]>();
  /** How many of a source's gave way. */
  readonly #evicted = new Map<string, number>();
  readonly #nodes: LogCacheNodes;
  readonly httpForwarder: HttpForwarder;
  readonly #maxPerSource: number;

  constructor(
    private readonly apps: Pick<Apps, 'get'>,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly options: StoreOptions,
  ) {
    this.#nodes = options.nodes ?? new LogCacheNodes(clock);
    this.httpForwarder = options.httpForwarder ?? new HttpForwarder(clock);
    this.#maxPerSource = options.maxPerSource ?? defaultMaxPerSource;
  }

  /** Model envelopes at or after this time are not visible yet. µs since the epoch. */
  get visibleUntilUs(): number {
    return (this.clock.now() - this.options.ingestLagMs) * 1000;
  }

  /**
   * Where what is held of a source begins, if that is not before fromUs; what a node lost and what the bound evicted is
   * not held. Infinity: nothing is. µs since the epoch.
   */
  heldSinceUs(sourceId: string, fromUs: number): number {
    const nowUs = this.clock.now() * 1000;
    const keptUs = Math.max(
      fromUs,
      nowUs - this.options.retentionMs * 1000,
      this.#nodes.keepsSinceUs(sourceId),
    );
    const injected = this.#injected.get(sourceId) ?? [];
    const maxEnvelopes = this.#maxPerSource;
    return evictedUntilUs(this.apps.get(sourceId), injected, { fromUs: keptUs, nowUs, maxEnvelopes });
  }

  /** Stores an envelope of any kind, also of a source that is no app. The oldest give way beyond log-cache's bound. */
  inject(envelope: Envelope): void {
    const stored = this.#injected.get(envelope.sourceId) ?? [];
    let at = stored.length;
    while (at > 0 && (stored[at - 1]?.timestampUs ?? 0) > envelope.timestampUs) at--;
    const firstOfTimestamp = stored[at - 1]?.timestampUs !== envelope.timestampUs;
    stored.splice(at, 0, { ...envelope, firstOfTimestamp, arrivedUs: this.clock.now() * 1000 });
    if (stored.length > this.#maxPerSource) {
      stored.shift();
      this.#evicted.set(envelope.sourceId, this.evicted(envelope.sourceId) + 1);
    }
    this.#injected.set(envelope.sourceId, stored);
  }

  /** Sources that something was put in of. */
  get injectedSources(): Iterable<string> {
    return this.#injected.keys();
  }

  /** How many of the envelopes that were put in of a source gave way to others. */
  evicted(sourceId: string): number {
    return this.#evicted.get(sourceId) ?? 0;
  }

  /** One page. Throws ReadRefused. */
  read(parameters: ReadParameters): StoredEnvelope[] {
    const { limit, descending } = parameters;
    if (limit > maxLimit) throw new ReadRefused(`limit (${limit}) must be ${maxLimit} or less`);
    if (limit < 0) throw new ReadRefused(`limit (${limit}) must be greater than zero`);
    if (parameters.endNs !== 0n && parameters.startNs > parameters.endNs) {
      throw new ReadRefused(`StartTime (${parameters.startNs}) must be before EndTime (${parameters.endNs})`);
    }
    const wanted = wantedBy(parameters);
    const fromUs = this.#firstUs(parameters.sourceId, ceilMicroseconds(parameters.startNs));
    const toUs = parameters.endNs === 0n ? this.clock.now() * 1000 : ceilMicroseconds(parameters.endNs);
    const pageLimit = limit || defaultLimit;
    const lengthUs = this.#sliceUs(parameters.sourceId, wanted, pageLimit);
    return readPage(this.#slices(parameters, wanted, fromUs, toUs, lengthUs), pageLimit, descending);
  }

  /** Evaluates an instant query. Throws PromqlParseError or PromqlEngineError. */
  instantQuery(query: string, timeText: string | null): QueryResult {
    const parsed = instantQueryOf(query, timeText, this.clock.now());
    return { timeMs: parsed.times.startMs, result: this.evaluate(parsed) };
  }

  /** Throws PromqlEngineError. */
  evaluate(query: PromqlQuery): PromqlResult {
    return evaluatePromql(query, new SeriesReader(this, this.apps));
  }

  /** All envelopes of a source with timestamps in [fromUs, toUs), oldest first, however many they are. */
  envelopes(sourceId: string, wanted: Wanted, fromUs: number, toUs: number): StoredEnvelope[] {
    return this.#envelopesHeld(sourceId, wanted, this.heldSinceUs(sourceId, fromUs), toUs);
  }

  #envelopesHeld(sourceId: string, wanted: Wanted, heldUs: number, toUs: number): StoredEnvelope[] {
    const app = this.apps.get(sourceId);
    const computed = app
      ? this.#arrived(modelEnvelopes(app, wanted, heldUs, Math.min(toUs, this.visibleUntilUs)))
      : [];
    const injected = this.#injectedBetween(
      sourceId,
      wanted,
      heldUs,
      toUs,
      this.#nodes.keepsSinceUs(sourceId),
    );
    if (injected.length === 0) return computed;
    return [...computed, ...injected].sort((a, b) => a.timestampUs - b.timestampUs);
  }

  /** Those put in that are still held. */
  heldInjected(sourceId: string, wanted: Wanted, fromUs: number, toUs: number): StoredEnvelope[] {
    const keptUs = this.#nodes.keepsSinceUs(sourceId);
    return this.#injectedBetween(sourceId, wanted, this.heldSinceUs(sourceId, fromUs), toUs, keptUs);
  }

  /** Without lost timers, and without those of late streams that are still on their way. */
  #arrived(envelopes: StoredEnvelope[]): StoredEnvelope[] {
    const { lateMs } = this.options;
    return envelopes.filter(({ sourceId: appId, instanceId, tags, body, timestampUs }) => {
      if (body.type === 'TIMER') return this.httpForwarder.carries(timestampUs);
      if (!lateMs || (body.type !== 'GAUGE' && body.type !== 'COUNTER')) return true;
      const name = body.type === 'COUNTER' ? body.name : (Object.keys(body.metrics)[0] ?? '');
      const cellId = tags['index'] ?? null;
      const waysMs = lateMs({ appId, instanceId, cellId, name }, timestampUs);
      return timestampUs + waysMs * 1000 < this.visibleUntilUs;
    });
  }

  /** All that were put in, whatever became of them. */
  injectedEnvelopes(sourceId: string, wanted: Wanted, fromUs: number, toUs: number): StoredEnvelope[] {
    return this.#injectedBetween(sourceId, wanted, fromUs, toUs, -Infinity);
  }

  #injectedBetween(
    sourceId: string,
    wanted: Wanted,
    fromUs: number,
    toUs: number,
    arrivedSinceUs: number,
  ): StoredEnvelope[] {
    const found: StoredEnvelope[] = [];
    for (const stored of this.#injected.get(sourceId) ?? []) {
      if (stored.timestampUs < fromUs || stored.timestampUs >= toUs) continue;
      const { arrivedUs, ...envelope } = stored;
      if (arrivedUs < arrivedSinceUs) continue;
      const filtered = filterEnvelope(envelope, wanted);
      if (filtered) found.push(filtered);
    }
    return found;
  }

  /** Where a read has to begin to look: held, and not before there was anything. */
  #firstUs(sourceId: string, fromUs: number): number {
    const app = this.apps.get(sourceId);
    const bornUs = app && !this.#injected.has(sourceId) ? app.bornUs : -Infinity;
    return this.heldSinceUs(sourceId, Math.max(fromUs, bornUs));
  }

  /** A length of window that holds about a page. */
  #sliceUs(sourceId: string, wanted: Wanted, limit: number): number {
    if (wants(wanted, 'TIMER', 'http')) return timerSliceUs;
    const containers = this.apps.get(sourceId)?.containers.length ?? 0;
    return Math.min(Math.max(tickUs, (tickUs * limit) / (gaugesPerTick * containers)), maxGaugeSliceUs);
  }

  /** The window cut into pieces, so that a page costs what it holds and not what the window holds. */
  *#slices(
    { sourceId, descending }: ReadParameters,
    wanted: Wanted,
    fromUs: number,
    toUs: number,
    lengthUs: number,
  ): Generator<StoredEnvelope[]> {
    const count = Math.ceil((toUs - fromUs) / lengthUs);
    for (let i = 0; i < count; i++) {
      const startUs = fromUs + (descending ? count - 1 - i : i) * lengthUs;
      yield this.#envelopesHeld(sourceId, wanted, startUs, Math.min(startUs + lengthUs, toUs));
    }
  }
}

/**
 * log-cache's stop at the limit, ties and all: envelopes of one timestamp lie in its tree as a chain, and the walk
 * ends only at the first of a chain. Oldest first that is where the next group has just begun, so a page splits it;
 * newest first it is where a group is complete. Both overshoot the limit, and the unfiltered chain decides.
 */
function readPage(
  slices: Iterable<readonly StoredEnvelope[]>,
  limit: number,
  descending: boolean,
): StoredEnvelope[] {
  const page: StoredEnvelope[] = [];
  for (const slice of slices) {
    for (const envelope of descending ? slice.toReversed() : slice) {
      page.push(envelope);
      if (page.length >= limit && envelope.firstOfTimestamp) return page;
    }
  }
  return page;
}

function wantedBy(parameters: ReadParameters): Wanted {
  const types = parameters.types.length > 0 ? new Set(parameters.types) : null;
  if (parameters.nameFilter === '') return { types, nameFilter: null };
  try {
    return { types, nameFilter: compileNameFilter(parameters.nameFilter) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ReadRefused(`name filter must be a valid regular expression: ${reason}`, { cause: error });
  }
}

/** The envelope without the gauge metrics that do not match, or undefined if nothing is left of it. */
function filterEnvelope(envelope: StoredEnvelope, wanted: Wanted): StoredEnvelope | undefined {
  const { body } = envelope;
  if (wanted.types && !wanted.types.has(body.type)) return undefined;
  const { nameFilter } = wanted;
  if (!nameFilter) return envelope;
  switch (body.type) {
    case 'LOG':
    case 'EVENT':
      return undefined;
    case 'COUNTER':
    case 'TIMER':
      return nameFilter(body.name) ? envelope : undefined;
    case 'GAUGE': {
      const metrics = Object.entries(body.metrics).filter(([name]) => nameFilter(name));
      if (metrics.length === 0) return undefined;
      return { ...envelope, body: { type: 'GAUGE', metrics: Object.fromEntries(metrics) } };
    }
  }
}

/** The first whole microsecond at or after a time in ns. */
function ceilMicroseconds(ns: bigint): number {
  return Number((ns + 999n) / 1000n);
}

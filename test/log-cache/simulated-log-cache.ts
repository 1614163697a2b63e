import type {
  GaugeEnvelope,
  LogCache,
  OldestRequest,
  QueryRequest,
  ReadRequest,
  TimerEnvelope,
  TimersRequest,
  VectorSample,
} from '../../src/log-cache/log-cache.js';
import { nameFilter } from '../../src/log-cache/name-filter.js';

export type StoreRequest = Omit<ReadRequest, 'names' | 'authorization'> & { readonly nameFilter: string };

/** The part of log-cache's store that paging depends on. */
export class SimulatedStore {
  readonly reads: StoreRequest[] = [];
  readonly queries: Pick<QueryRequest, 'query' | 'timeSecs'>[] = [];
  /** What every PromQL query is answered with. */
  vector: VectorSample[] = [];
  /** Newest first. */
  readonly timers: TimerEnvelope[] = [];
  /** From when on it holds envelopes of every source. ns since the epoch. */
  heldSinceNs = 0n;
  /** What it holds of these is gone; reads are answered as if there had never been anything. */
  readonly sourcesOfDeadNode = new Set<string>();
  readonly looks: OldestRequest[] = [];
  readonly #envelopes: GaugeEnvelope[] = [];

  add(...envelopes: GaugeEnvelope[]): void {
    this.#envelopes.push(...envelopes);
  }

  /** Newest first; goes past the limit to the end of a group of equal timestamps, and never splits one. */
  read(request: StoreRequest): GaugeEnvelope[] {
    this.reads.push(request);
    if (this.sourcesOfDeadNode.has(request.sourceId)) return [];
    const filter = new RegExp(request.nameFilter);
    const page: GaugeEnvelope[] = [];
    for (const envelope of this.#newestFirst(request)) {
      if (page.length >= request.limit && page.at(-1)?.timestamp !== envelope.timestamp) break;
      const metrics = envelope.metrics.filter(({ name }) => filter.test(name));
      if (metrics.length > 0) page.push({ ...envelope, metrics });
    }
    return page;
  }

  readTimers({ sourceId, startNs, endNs, limit }: Omit<TimersRequest, 'authorization'>): TimerEnvelope[] {
    const isWanted = (timer: TimerEnvelope) =>
      timer.sourceId === sourceId && BigInt(timer.timestamp) >= startNs && BigInt(timer.timestamp) < endNs;
    return this.timers.filter(isWanted).slice(0, limit);
  }

  oldest(request: OldestRequest): bigint[] {
    this.looks.push(request);
    const { startNs, endNs } = request;
    const oldestNs = this.heldSinceNs > startNs ? this.heldSinceNs : startNs;
    return oldestNs < endNs ? [oldestNs] : [];
  }

  query(request: Pick<QueryRequest, 'query' | 'timeSecs'>): VectorSample[] {
    this.queries.push(request);
    return this.vector;
  }

  #newestFirst({ sourceId, startNs, endNs }: StoreRequest): GaugeEnvelope[] {
    const sinceNs = this.heldSinceNs > startNs ? this.heldSinceNs : startNs;
    return this.#envelopes
      .map((envelope) => ({ envelope, time: BigInt(envelope.timestamp) }))
      .filter(({ envelope, time }) => envelope.sourceId === sourceId && time >= sinceNs && time < endNs)
      .sort((a, b) => Number(b.time - a.time))
      .map(({ envelope }) => envelope);
  }
}

/** The store without a transport in between. */
export function logCacheOf(store: SimulatedStore): LogCache {
  return {
    read: async ({ names, ...request }, take) =>
      take({ envelopes: store.read({ ...request, nameFilter: nameFilter(names) }), bytes: 0 }),
    readTimers: async (request, take) => take({ envelopes: store.readTimers(request), bytes: 0 }),
    oldest: async (request, take) =>
      take({ envelopes: store.oldest(request).map((time) => ({ timestamp: String(time) })), bytes: 0 }),
    instantQuery: async (request, take) => take({ samples: store.query(request), bytes: 0 }),
  };
}

/** Takes an answer as it is. */
export const whole = <A>(answer: A): A => answer;

export const appId = '9f0e2c1a-0000-4000-8000-000000000001';

/** Tags that Diego's rep gives a web container. */
export function webTags(instance: string): Record<string, string> {
  return {
    origin: 'rep',
    process_type: 'web',
    process_instance_id: `guid-${instance}`,
    instance_id: instance,
  };
}

const containerGauges = new Set(['cpu', 'cpu_entitlement', 'memory', 'memory_quota', 'disk', 'disk_quota']);

/** Container gauges come from Diego's rep, custom metrics without tags. */
export function gauge(
  timestampNs: bigint,
  name: string,
  value: number,
  more: Partial<GaugeEnvelope> & { unit?: string } = {},
): GaugeEnvelope {
  const { unit = 'bytes', ...envelope } = more;
  const instanceId = more.instanceId ?? '0';
  return {
    timestamp: timestampNs.toString(),
    sourceId: appId,
    instanceId,
    tags: containerGauges.has(name) ? webTags(instanceId) : {},
    metrics: [{ name, unit, value }],
    ...envelope,
  };
}

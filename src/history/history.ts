import type { Metrics } from '../observability/metrics.js';
import type { AppMetric } from './app-metric.js';
import type { HistoryQuery } from './history-reader.js';
import { PointMemory } from './point-memory.js';
import { Ring, type Series } from './ring.js';

/**
 * No ring grows beyond this: a breach duration of 3600 s, the longest that the policy schema allows, stays below it
 * at every collection interval from 400 ms. A rule that asks for more never has enough samples, and never fires.
 */
const maxRingPoints = 20_000;

/**
 * Points that a ring must hold for its longest rule: those of the breach duration, and one before it. An app also has early
 * cycles, where a hold or a breach duration ends (pipeline/cycles.ts): one in each interval while holds are short. While the
 * app is scaled again and again there are two a minute, because no cool-down is shorter than a minute. Never fewer than the
 * configured cache size.
 */
export function ringCapacity(
  cacheSize: number,
  longestBreachDurationSecs: number,
  collectionIntervalMs: number,
): number {
  const regular = (longestBreachDurationSecs * 1000) / collectionIntervalMs;
  const forLongestRule = Math.ceil(2 * regular + longestBreachDurationSecs / 30) + 2;
  return Math.min(maxRingPoints, Math.max(cacheSize, forLongestRule));
}

/**
 * The histories in memory: a ring per app and metric type, for the apps this process collects. It holds what was
 * recorded or seeded and not yet retained away, nothing else, so its size follows the policies in force.
 */
export class History {
  readonly #memory = new PointMemory();
  /** An app has few metric types: a list takes a tenth of a map's memory and is not slower to look through. */
  readonly #apps = new Map<string, Ring[]>();
  #rings = 0;

  constructor(private readonly metrics: Pick<Metrics, 'historyRings'>) {}

  /** Adds an app's newest app metric. False if a ring cannot hold it (negative timestamp, or beyond int64). */
  record(metric: AppMetric, capacity: number): boolean {
    return this.#ringFor(metric.appId, metric.metricType, capacity).append(
      metric.timestampNs,
      metric.value,
      metric.unit,
    );
  }

  /** Puts what the database has of one history before what was recorded here, in any order. */
  seed(appId: string, metricType: string, points: readonly AppMetric[], capacity: number): void {
    this.#ringFor(appId, metricType, capacity).seed(points);
  }

  series(appId: string, metricType: string): Series | undefined {
    return this.#ringOf(appId, metricType);
  }

  /**
   * The result of a history query, or null if only the database has all of it. Only for apps that this process
   * collects now: of others the ring lacks what their owner has recorded since.
   */
  range(query: HistoryQuery): AppMetric[] | null {
    const ring = this.#ringOf(query.appId, query.metricType);
    if (!ring?.coversFrom(query.startNs)) return null;
    const { appId, metricType } = query;
    const found: AppMetric[] = [];
    for (let age = 0; age < ring.size; age++) {
      const timestampNs = ring.timestampAt(age);
      if (timestampNs < query.startNs) break;
      if (timestampNs > query.endNs) continue;
      const value = ring.valueAt(age);
      found.push({ appId, metricType, value, unit: value === null ? '' : ring.unit, timestampNs });
    }
    return query.order === 'DESC' ? found : found.reverse();
  }

  /** Drops every history of one app but those of these metric types. */
  retain(appId: string, metricTypes: ReadonlySet<string>): void {
    const rings = this.#apps.get(appId) ?? [];
    const kept = rings.filter(({ metricType }) => metricTypes.has(metricType));
    for (const ring of rings) if (!kept.includes(ring)) ring.release();
    if (kept.length > 0) this.#apps.set(appId, kept);
    else this.#apps.delete(appId);
    this.#count(kept.length - rings.length);
  }

  forget(appId: string): void {
    this.retain(appId, new Set());
  }

  #ringOf(appId: string, metricType: string): Ring | undefined {
    return this.#apps.get(appId)?.find((ring) => ring.metricType === metricType);
  }

  #ringFor(appId: string, metricType: string, capacity: number): Ring {
    const known = this.#ringOf(appId, metricType);
    if (known) {
      if (known.capacity !== capacity) known.resize(capacity);
      return known;
    }
    const ring = new Ring(metricType, capacity, this.#memory);
    const rings = this.#apps.get(appId);
    if (rings) rings.push(ring);
    else this.#apps.set(appId, [ring]);
    this.#count(1);
    return ring;
  }

  #count(change: number): void {
    this.#rings += change;
    this.metrics.historyRings.set(this.#rings);
  }
}

import { backOff } from '../util/back-off.js';
import { msToNs, secsToNs, sleep } from '../util/clock.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import type { AppMetric } from './app-metric.js';
import type { AppMetricStore, RecentQuery } from './app-metric-store.js';
import type { HistoryKey } from './history-key.js';

export interface WarmUpOptions extends LogContext {
  readonly store: Pick<AppMetricStore, 'readRecent'>;
  /** Whether the history is still wanted; asked again after every failure. */
  readonly isWanted: (appId: string) => boolean;
  /** Points come oldest first. */
  readonly seed: (appId: string, key: HistoryKey, points: readonly AppMetric[]) => void;
  /** Called for each app whose histories have been read. */
  readonly seeded: (appId: string) => void;
}

export interface WarmUp {
  /** Reads these histories soon: all that are wanted by then in one query, many in two at once. Key: app id. */
  want(keys: ReadonlyMap<string, readonly HistoryKey[]>): void;
  /** Whether any history is wanted that has not been read. */
  isReading(): boolean;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** More are read in two queries at once: the database looks up the one part while the other is taken over. */
const fewQueries = 1_000;
const firstRetryMs = 1_000;
const maxRetryMs = 30_000;

/**
 * Reads from appmetrics_db what a new owner of apps did not collect itself, so that a rule that was about to fire
 * still fires. Off the hot path: cycles go on meanwhile, and what they record stays the newest.
 */
export function createWarmUp(options: WarmUpOptions): WarmUp {
  const { store, clock, isWanted, seed } = options;
  const logger = options.logger.child('warm-up');
  const repeated = new RepeatedEvents({ clock, logger, metrics: options.metrics });
  const stopping = new AbortController();
  const pending = new Map<string, Map<string, HistoryKey>>();
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    const startedMs = clock.monotonic();
    let points: number | null = null;
    for (let failures = 0; pending.size > 0 && !stopping.signal.aborted;) {
      try {
        const read = await readPending();
        points = (points ?? 0) + read;
        failures = 0;
      } catch (error) {
        failures++;
        if (failures === 1) repeated.error('failed', error, { apps: pending.size });
        await sleep(clock, backOff(firstRetryMs, maxRetryMs, failures), stopping.signal);
        for (const appId of pending.keys()) if (!isWanted(appId)) pending.delete(appId);
      }
    }
    if (points !== null) logger.info('done', { points, millis: Math.round(clock.monotonic() - startedMs) });
  }

  async function readPending(): Promise<number> {
    const taken = new Map(pending);
    const parts = queriesInParts(taken, msToNs(clock.now()));
    const read = await Promise.allSettled(parts.map((part) => readPart(part, taken)));
    let points = 0;
    for (const result of read) {
      if (result.status === 'rejected') throw result.reason;
      points += result.value;
    }
    // What was wanted again meanwhile, for another policy, stays pending.
    for (const [appId, keys] of taken) {
      if (pending.get(appId) === keys) pending.delete(appId);
      options.seeded(appId);
    }
    return points;
  }

  async function readPart(queries: readonly RecentQuery[], keys: WantedKeys): Promise<number> {
    let points = 0;
    for await (const series of seriesOf(store.readRecent(queries))) {
      if (stopping.signal.aborted) break;
      const [{ appId, metricType }] = series;
      const key = keys.get(appId)?.get(metricType);
      if (key && isWanted(appId)) seed(appId, key, series);
      points += series.length;
    }
    return points;
  }

  return {
    want(keys) {
      for (const [appId, appKeys] of keys) {
        pending.set(appId, new Map(appKeys.map((key) => [key.metricType, key])));
      }
      if (pending.size > 0) running ??= run().finally(() => (running = undefined));
    },
    isReading: () => pending.size > 0,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** By app id and metric type. */
type WantedKeys = ReadonlyMap<string, ReadonlyMap<string, HistoryKey>>;

function queriesInParts(wanted: WantedKeys, nowNs: bigint): RecentQuery[][] {
  const queries = [...wanted].flatMap(([appId, keys]) =>
    [...keys.values()].map(({ metricType, reachSecs }) => ({
      appId,
      metricType,
      sinceNs: nowNs - secsToNs(reachSecs),
    })),
  );
  const halfway = Math.ceil(queries.length / 2);
  return queries.length > fewQueries ? [queries.slice(0, halfway), queries.slice(halfway)] : [queries];
}

type Series = [AppMetric, ...AppMetric[]];

/** The points of one app and metric type together; they come one after the other. */
async function* seriesOf(batches: AsyncIterable<readonly AppMetric[]>): AsyncGenerator<Series> {
  let series: Series | undefined;
  for await (const batch of batches) {
    for (const point of batch) {
      if (series?.[0].appId === point.appId && series[0].metricType === point.metricType) {
        series.push(point);
      } else {
        if (series) yield series;
        series = [point];
      }
    }
  }
  if (series) yield series;
}

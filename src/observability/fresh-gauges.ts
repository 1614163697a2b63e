import type { Clock } from '../util/clock.js';
import type { Metrics } from './metrics.js';

export interface GaugeSources {
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly metrics: Pick<Metrics, 'workerUtilization' | 'workerQueue' | 'apps'>;
  /** Parts that have something to do every few seconds. */
  readonly parts: readonly { refresh(): void }[];
  /** Apps owned by the reason of their newest decision. */
  readonly appsByReason: () => ReadonlyMap<string, number>;
  readonly pool: { utilization(): number; readonly queueSize: number };
}

/** Shorter than any scrape interval. */
const periodMs = 5_000;

/** Updates the gauges that no event sets. Returns how to end that. */
export function keepGaugesFresh({ clock, metrics, parts, appsByReason, pool }: GaugeSources): () => void {
  let timer = clock.setTimer(periodMs, refresh);

  function refresh(): void {
    for (const part of parts) part.refresh();
    metrics.apps.reset();
    for (const [reason, apps] of appsByReason()) metrics.apps.set({ reason }, apps);
    metrics.workerUtilization.set(pool.utilization());
    metrics.workerQueue.set(pool.queueSize);
    timer = clock.setTimer(periodMs, refresh);
  }

  return () => timer.cancel();
}

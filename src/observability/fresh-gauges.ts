import type { Clock } from '../util/clock.js';
import type { Metrics } from './metrics.js';

export interface GaugeSources {
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly metrics: Pick<Metrics, 'workerUtilization' | 'workerQueue'>;
  readonly evaluator: { refresh(): void };
  readonly pool: { utilization(): number; readonly queueSize: number };
}

/** Shorter than any scrape interval. */
const periodMs = 5_000;

/** Updates the gauges that no event sets. Returns how to end that. */
export function keepGaugesFresh({ clock, metrics, evaluator, pool }: GaugeSources): () => void {
  let timer = clock.setTimer(periodMs, refresh);

  function refresh(): void {
    evaluator.refresh();
    metrics.workerUtilization.set(pool.utilization());
    metrics.workerQueue.set(pool.queueSize);
    timer = clock.setTimer(periodMs, refresh);
  }

  return () => timer.cancel();
}

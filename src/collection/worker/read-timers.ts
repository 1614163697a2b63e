import { type Clock, secsToNs } from '../../util/clock.js';
import type { LogCache, TimerEnvelope } from '../../log-cache/log-cache.js';
import type { CollectionCost, TimersJob, TimersResult } from '../pool/job.js';
import { fullPage, type PageTools, readPages } from './read-pages.js';
import { TimerAggregation } from './timer-aggregation.js';

/**
 * Timers of either peer type that are read of a window. With about so many a query costs log-cache as much as a read, as
 * measured with log-cache: 10,000 take 0.6 s against 1.5 s, 40,000 take 2 s against 7 s, without any container metrics.
 */
const mostTimers = 20_000;

interface Tools {
  readonly logCache: Pick<LogCache, 'readTimers'>;
  readonly clock: Clock;
  readonly cost: CollectionCost;
}

/** Reads the timers of one app's http window and makes of them what queries would. Rejects with a LogCacheError. */
export async function readTimers(
  { appId: sourceId, timeSecs, windowSecs, authorization }: TimersJob,
  { logCache, clock, cost }: Tools,
): Promise<Omit<TimersResult, 'cost'>> {
  const window = { startNs: secsToNs(timeSecs - windowSecs), endNs: secsToNs(timeSecs) };
  const aggregation = new TimerAggregation();
  let count = 0;
  const pages: PageTools<TimerEnvelope> = {
    read: (part, take) => logCache.readTimers({ ...part, sourceId, authorization }, take),
    clock,
    cost,
  };
  await readPages(window, fullPage, pages, (timers) => {
    count += timers.length;
    if (count > mostTimers) return false;
    aggregation.add(timers);
    return true;
  });
  if (count > mostTimers) return { kind: 'timers', outcomes: null };
  const { outcomes, droppedSamples } = aggregation.end(sourceId, windowSecs);
  cost.droppedSamples += droppedSamples;
  return { kind: 'timers', outcomes };
}

import { secsToNs } from '../../util/clock.js';
import type { TimerEnvelope } from '../../log-cache/log-cache.js';
import type { Authorized, TimersJob, TimersResult } from '../pool/job.js';
import { fullPage, type ReadPage, readPages, type ReadTools } from './read-pages.js';
import { TimerAggregation } from './timer-aggregation.js';

/**
 * The most timers, of both peer types, that are read of a window. Beyond, a query is cheaper: measured with log-cache
 * and without container metrics, 10,000 timers take 0.6 s in a query and 1.5 s in a read, 40,000 take 2 s and 7 s.
 */
const mostTimers = 20_000;

/** Computes both http metric types from the timers of one app's http window. Rejects with a LogCacheError. */
export async function readTimers(
  { appId: sourceId, timeSecs, windowSecs, authorization }: TimersJob & Authorized,
  tools: ReadTools<'readTimers'>,
): Promise<TimersResult> {
  const window = { startNs: secsToNs(timeSecs - windowSecs), endNs: secsToNs(timeSecs) };
  const aggregation = new TimerAggregation();
  let count = 0;
  const pages: ReadPage<TimerEnvelope> = (part, take) =>
    tools.logCache.readTimers({ ...part, sourceId, authorization }, take);
  await readPages(window, fullPage, tools, pages, (timers) => {
    count += timers.length;
    if (count > mostTimers) return false;
    aggregation.add(timers);
    return true;
  });
  if (count > mostTimers) return { kind: 'timers', outcomes: null };
  const { outcomes, droppedSamples } = aggregation.end(sourceId, windowSecs);
  tools.cost.droppedSamples += droppedSamples;
  return { kind: 'timers', outcomes };
}

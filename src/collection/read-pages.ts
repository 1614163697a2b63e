import type { Clock } from '../clock.js';
import {
  type GaugeEnvelope,
  type LogCache,
  LogCacheError,
  type ReadRequest,
} from '../log-cache/log-cache.js';
import type { CollectionCost } from './job.js';

/** The most that log-cache gives at once. */
export const fullPage = 1000;
/** log-cache keeps 100,000 envelopes of a source by default: this is twice that, and then something is wrong. */
const maxPages = 200;
/** All pages of one window together; a read that takes longer would only delay the next round. */
const maxWindowReadMs = 60_000;

/**
 * Pages of a window, newest first, until it is complete. Reading backwards from the oldest timestamp seen is the one
 * order in which log-cache never splits a group of envelopes that share a timestamp; it may overshoot the limit, so
 * that a page of the limit *or more* says "maybe more". A window that cannot be completed is an error: a part of it
 * would be a wrong value.
 */
export async function* readPages(
  window: Omit<ReadRequest, 'limit'>,
  limit: number,
  { logCache, clock, cost }: { logCache: Pick<LogCache, 'read'>; clock: Clock; cost: CollectionCost },
): AsyncGenerator<readonly GaugeEnvelope[], void, undefined> {
  const giveUpAt = clock.monotonic() + maxWindowReadMs;
  let endNs = window.endNs;
  for (let pages = 0; endNs > window.startNs; pages++) {
    if (pages === maxPages) {
      throw new LogCacheError('bad-answer', `the window is not complete after ${maxPages} pages`);
    }
    if (clock.monotonic() > giveUpAt) {
      throw new LogCacheError('timeout', `the window is not complete after ${maxWindowReadMs} ms`);
    }
    cost.requests++;
    const { envelopes, bytes } = await logCache.read({ ...window, endNs, limit });
    cost.pages++;
    cost.envelopes += envelopes.length;
    cost.bytes += bytes;
    if (envelopes.length === 0) return;
    const oldest = checkPage(envelopes, window.startNs, endNs, limit);
    yield envelopes;
    if (envelopes.length < limit) return;
    endNs = oldest;
  }
}

/**
 * The oldest timestamp of a page. A page from outside the window would be counted falsely, and if it went past the
 * end the paging would turn in circles; a full page that is not newest first would skip what lies behind it.
 */
function checkPage(
  envelopes: readonly GaugeEnvelope[],
  startNs: bigint,
  endNs: bigint,
  limit: number,
): bigint {
  const timestamps = envelopes.map(({ timestamp }) => BigInt(timestamp));
  const first = timestamps[0] ?? endNs;
  const last = timestamps.at(-1) ?? startNs;
  let oldest = last;
  for (const timestamp of timestamps) {
    if (timestamp < startNs || timestamp >= endNs) {
      throw new LogCacheError(
        'bad-answer',
        `log-cache sent ${timestamp} for the window ${startNs} to ${endNs}`,
      );
    }
    if (timestamp < oldest) oldest = timestamp;
  }
  if (timestamps.length >= limit && first < last) {
    throw new LogCacheError('bad-answer', 'log-cache sent a full page that is not newest first');
  }
  return oldest;
}

import type { Clock } from '../../util/clock.js';
import { LogCacheError, type Page, type Window } from '../../log-cache/log-cache.js';
import type { CollectionCost } from '../pool/job.js';

/** The most that log-cache gives at once. */
export const fullPage = 1000;
/** log-cache keeps 100,000 envelopes of a source by default: this is twice that, and then something is wrong. */
const maxPages = 200;
/** All pages of one window together; a read that takes longer would only delay the next cycle. */
const maxWindowReadMs = 60_000;

export interface PageTools<E> {
  /** Reads one page, newest first. */
  readonly read: (
    part: Window & { readonly limit: number },
    take: (page: Page<E>) => bigint | null,
  ) => Promise<bigint | null>;
  readonly clock: Clock;
  readonly cost: CollectionCost;
}

/**
 * Pages of a window, newest first, until it is complete. Reading backwards from the oldest timestamp seen is the one
 * order in which log-cache never splits a group of envelopes that share a timestamp; it may overshoot the limit, so
 * that a page of the limit *or more* says "maybe more". A window that cannot be completed is an error: a part of it
 * would be a wrong value. `take` gets one page after the other with its oldest timestamp, and tells whether it wants more.
 */
export async function readPages<E extends { readonly timestamp: string }>(
  { startNs, endNs: windowEndNs }: Window,
  limit: number,
  { read, clock, cost }: PageTools<E>,
  take: (page: readonly E[], oldestNs: bigint) => boolean,
): Promise<void> {
  const giveUpAt = clock.monotonic() + maxWindowReadMs;
  let endNs: bigint | null = windowEndNs;
  for (let pages = 0; endNs !== null && endNs > startNs; pages++) {
    if (pages === maxPages) {
      throw new LogCacheError('bad-answer', `the window is not complete after ${maxPages} pages`);
    }
    if (clock.monotonic() > giveUpAt) {
      throw new LogCacheError('timeout', `the window is not complete after ${maxWindowReadMs} ms`);
    }
    cost.requests++;
    const part = { startNs, endNs, limit };
    endNs = await read(part, ({ envelopes, bytes }) => {
      cost.pages++;
      cost.envelopes += envelopes.length;
      cost.bytes += bytes;
      if (envelopes.length === 0) return null;
      const oldestNs = checkPage(envelopes, part);
      const wantsMore = take(envelopes, oldestNs);
      return wantsMore && envelopes.length >= limit ? oldestNs : null;
    });
  }
}

/**
 * The oldest timestamp of a page. A page from outside the window would be counted falsely, and if it
 * went past the end the paging would turn in circles; a full page that is not newest first would skip what lies behind
 * it.
 */
function checkPage(
  envelopes: readonly { readonly timestamp: string }[],
  { startNs, endNs, limit }: Window & { readonly limit: number },
): bigint {
  let oldestNs = endNs;
  let previous = '';
  for (const { timestamp } of envelopes) {
    // Most share their timestamp with a neighbour.
    if (timestamp === previous) continue;
    previous = timestamp;
    const timeNs = BigInt(timestamp);
    if (timeNs < startNs || timeNs >= endNs) {
      throw new LogCacheError(
        'bad-answer',
        `log-cache sent ${timestamp} for the window ${startNs} to ${endNs}`,
      );
    }
    if (timeNs < oldestNs) oldestNs = timeNs;
  }
  if (envelopes.length >= limit && BigInt(envelopes[0]?.timestamp ?? 0) < BigInt(previous)) {
    throw new LogCacheError('bad-answer', 'log-cache sent a full page that is not newest first');
  }
  return oldestNs;
}

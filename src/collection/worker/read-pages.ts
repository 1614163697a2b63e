import type { Clock } from '../../util/clock.js';
import {
  type GaugeEnvelope,
  type LogCache,
  LogCacheError,
  type Page,
  type Window,
} from '../../log-cache/log-cache.js';
import type { Authorized, CollectionCost } from '../pool/job.js';

/** log-cache's largest limit of a read. */
export const fullPage = 1000;
/** Twice the 100,000 envelopes that log-cache keeps of a source by default. */
const maxPages = 200;
/** For all pages of one window: a longer read would only delay the next cycle. */
const maxWindowReadMs = 60_000;

/** What a job that reads log-cache works with. */
export interface ReadTools<M extends keyof LogCache> {
  readonly logCache: Pick<LogCache, M>;
  readonly clock: Clock;
  /** Added to while reading, so that a failed read has a cost too. */
  readonly cost: CollectionCost;
}

/** Reads one page, newest first. */
export type ReadPage<E> = (
  part: Window & { readonly limit: number },
  take: (page: Page<E>) => bigint | null,
) => Promise<bigint | null>;

/** Reads pages of one app's gauges of these names. */
export function gaugePages(
  { appId: sourceId, authorization }: Authorized & { readonly appId: string },
  names: readonly string[],
  logCache: Pick<LogCache, 'read'>,
): ReadPage<GaugeEnvelope> {
  return (part, take) => logCache.read({ ...part, sourceId, names, authorization }, take);
}

/**
 * Reads the pages of a window, newest first, until it is complete. Only in this order, backwards from the oldest
 * timestamp seen, log-cache never splits a group of envelopes that share a timestamp. A page may be longer than the
 * limit; only a shorter one is the last. A window that cannot be completed is an error: a part would give a wrong
 * value. `take` gets each page with its oldest timestamp, and returns whether it wants more.
 */
export async function readPages<E extends { readonly timestamp: string }>(
  { startNs, endNs: windowEndNs }: Window,
  limit: number,
  { clock, cost }: Pick<ReadTools<never>, 'clock' | 'cost'>,
  read: ReadPage<E>,
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
 * The oldest timestamp of a page. Throws for an envelope outside the window, which would give a wrong value or endless
 * paging, and for a full page that is not newest first, after which envelopes would be skipped.
 */
function checkPage(
  envelopes: readonly { readonly timestamp: string }[],
  { startNs, endNs, limit }: Window & { readonly limit: number },
): bigint {
  let oldestNs = endNs;
  let previous = '';
  for (const { timestamp } of envelopes) {
    // Most envelopes share their timestamp with the one before.
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

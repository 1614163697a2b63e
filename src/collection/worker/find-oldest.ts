import type { LogCache } from '../../log-cache/log-cache.js';
import type { Authorized, CollectionCost, OldestJob, OldestResult } from '../pool/job.js';

/** Finds the oldest envelope that log-cache holds of an app. Rejects with a LogCacheError. */
export async function findOldest(
  { appId, startNs, endNs, authorization }: OldestJob & Authorized,
  { logCache, cost }: { logCache: Pick<LogCache, 'oldest'>; cost: CollectionCost },
): Promise<OldestResult> {
  cost.requests++;
  const request = { sourceId: appId, startNs, endNs, authorization };
  const oldestNs = await logCache.oldest(request, ({ envelopes, bytes }) => {
    cost.pages++;
    cost.envelopes += envelopes.length;
    cost.bytes += bytes;
    return envelopes
      .map(({ timestamp }) => BigInt(timestamp))
      .reduce<bigint | null>((oldest, time) => (oldest === null || time < oldest ? time : oldest), null);
  });
  return { kind: 'oldest', oldestNs };
}

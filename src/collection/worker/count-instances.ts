import { secsToNs } from '../../util/clock.js';
import type { Authorized, InstancesJob, InstancesResult } from '../pool/job.js';
import { countsForApp, isFromContainer } from './envelopes.js';
import { presenceGauge } from './metric-types.js';
import { fullPage, gaugePages, readPages, type ReadTools } from './read-pages.js';

/** Container metrics come every 15 s. An instance that is behind the newest of the app by more is gone. */
const longestSilenceNs = secsToNs(20);

/**
 * Indexes are numbered from 0 without a gap, so the highest tells how many instances the app should have: also while
 * one of the others is away, and during a rolling deployment, where two have the same. Rejects with a LogCacheError.
 */
export async function countInstances(
  job: InstancesJob & Authorized,
  tools: ReadTools<'read'>,
): Promise<InstancesResult> {
  let newestNs = 0n;
  let instances = 0;
  const pages = gaugePages(job, [presenceGauge], tools.logCache);
  await readPages(job, fullPage, tools, pages, (envelopes) => {
    for (const envelope of envelopes) {
      const { instanceId, timestamp } = envelope;
      if (!isFromContainer(envelope) || !countsForApp(envelope) || !/^\d{1,6}$/.test(instanceId)) continue;
      const timeNs = BigInt(timestamp);
      // The newest come first.
      if (timeNs > newestNs) newestNs = timeNs;
      if (timeNs >= newestNs - longestSilenceNs) instances = Math.max(instances, Number(instanceId) + 1);
    }
    return true;
  });
  return { kind: 'instances', instances };
}

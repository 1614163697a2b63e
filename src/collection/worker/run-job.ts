import { type Clock, systemClock } from '../../util/clock.js';
import { type LogCache, LogCacheError } from '../../log-cache/log-cache.js';
import { noCost } from '../pool/cost.js';
import { countInstances } from './count-instances.js';
import { findOldest } from './find-oldest.js';
import type { CollectionJob, CollectionResult, JobFailed } from '../pool/job.js';
import { queryHttp } from './query-http.js';
import { readGauges } from './read-gauges.js';
import { readTimers } from './read-timers.js';

/** Runs one job in a worker thread. Never rejects: a failure is a result too. */
export async function runJob(
  job: CollectionJob,
  logCache: Pick<LogCache, 'read' | 'instantQuery' | 'oldest' | 'readTimers'>,
  clock: Clock = systemClock,
): Promise<CollectionResult> {
  const cost = noCost();
  const tools = { logCache, clock, cost };
  try {
    switch (job.kind) {
      case 'read':
        return { ...(await readGauges(job, tools)), cost };
      case 'query':
        return { ...(await queryHttp(job, tools)), cost };
      case 'oldest':
        return { ...(await findOldest(job, tools)), cost };
      case 'timers':
        return { ...(await readTimers(job, tools)), cost };
      case 'instances':
        return { ...(await countInstances(job, tools)), cost };
    }
  } catch (error) {
    return { ...failureOf(error), cost };
  }
}

function failureOf(error: unknown): Omit<JobFailed, 'cost'> {
  if (error instanceof LogCacheError) {
    return { kind: 'failed', failure: error.kind, message: error.message };
  }
  // A defect of ours. It costs this job only, and its message says where, in one line.
  const { name, message, stack } = error as Error;
  const where = /^\s+(at .*)$/m.exec(stack ?? '')?.[1] ?? 'nowhere known';
  return {
    kind: 'failed',
    failure: 'thread',
    message: `the collector failed: ${name}: ${message} (${where})`,
  };
}

import { type Clock, systemClock } from '../../util/clock.js';
import { type LogCache, LogCacheError } from '../../log-cache/log-cache.js';
import { noCost } from '../pool/cost.js';
import { countInstances } from './count-instances.js';
import { findOldest } from './find-oldest.js';
import type { CollectionJob, CollectionResult, Failed, JobOutcome } from '../pool/job.js';
import { queryHttp } from './query-http.js';
import { readGauges } from './read-gauges.js';
import type { ReadTools } from './read-pages.js';
import { readTimers } from './read-timers.js';

/** Runs one job in a worker thread. Never rejects: a failure is a result too. */
export async function runJob(
  job: CollectionJob,
  logCache: LogCache | Promise<LogCache>,
  clock: Clock = systemClock,
): Promise<CollectionResult> {
  const cost = noCost();
  try {
    const outcome = await outcomeOf(job, { logCache: await logCache, clock, cost });
    return { ...outcome, cost };
  } catch (error) {
    return { ...failureOf(error), cost };
  }
}

function outcomeOf(job: CollectionJob, tools: ReadTools<keyof LogCache>): Promise<JobOutcome> {
  switch (job.kind) {
    case 'read':
      return readGauges(job, tools);
    case 'query':
      return queryHttp(job, tools);
    case 'oldest':
      return findOldest(job, tools);
    case 'timers':
      return readTimers(job, tools);
    case 'instances':
      return countInstances(job, tools);
  }
}

function failureOf(error: unknown): Failed {
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

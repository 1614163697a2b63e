import { type Clock, systemClock } from '../clock.js';
import { type LogCache, LogCacheError } from '../log-cache/log-cache.js';
import { noCost } from './cost.js';
import type { CollectionJob, CollectionResult, JobFailed } from './job.js';
import { queryHttp } from './query-http.js';
import { readGauges } from './read-gauges.js';

/** Runs one job in a worker thread. Never rejects: whatever went wrong is a result too. */
export async function runJob(
  job: CollectionJob,
  logCache: Pick<LogCache, 'read' | 'instantQuery'>,
  clock: Clock = systemClock,
): Promise<CollectionResult> {
  const cost = noCost();
  const tools = { logCache, clock, cost };
  try {
    const result = job.kind === 'read' ? await readGauges(job, tools) : await queryHttp(job, tools);
    return { ...result, cost };
  } catch (error) {
    return { ...failureOf(error), cost };
  }
}

function failureOf(error: unknown): Omit<JobFailed, 'cost'> {
  if (error instanceof LogCacheError) {
    return { kind: 'failed', failure: error.kind, message: error.message };
  }
  // Not a fault that log-cache's transports know: ours. It costs this job only, and its message says where, in a line.
  const { name, message, stack } = error as Error;
  const where = /^\s+(at .*)$/m.exec(stack ?? '')?.[1] ?? 'nowhere known';
  return {
    kind: 'failed',
    failure: 'thread',
    message: `the collector failed: ${name}: ${message} (${where})`,
  };
}

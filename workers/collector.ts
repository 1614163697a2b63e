import { workerData } from 'node:worker_threads';
import type { CollectorWorkerData } from '../src/collection/pool/job.js';
import { serveJobs, type Service } from '../src/collection/pool/job-port.js';
import { runJob } from '../src/collection/worker/run-job.js';
import { type LogCache, LogCacheError } from '../src/log-cache/log-cache.js';

/* The entry of a collector thread: jobs in, results out. Many jobs run at once, as they mostly wait. */

const logCache = connect(workerData as CollectorWorkerData);
// Each job tells the failure.
logCache.catch(() => {});

/** piscina calls a file's default export. */
export default function collect(service: Service): Promise<never> {
  return serveJobs(service, (job) => runJob(job, logCache));
}

/**
 * Loads one of the two transports: each takes a thread longer to load than all the rest, and megabytes. Unusable
 * certificates make every job fail with the reason: a thread that ends could not tell it.
 */
async function connect({ logCache: settings, ...timeouts }: CollectorWorkerData): Promise<LogCache> {
  try {
    if (settings.transport === 'rest') {
      const { createRestLogCache } = await import('../src/log-cache/rest-log-cache.js');
      return createRestLogCache({ ...settings, ...timeouts });
    }
    const { createGrpcLogCache } = await import('../src/log-cache/grpc-log-cache.js');
    return createGrpcLogCache({ ...settings, ...timeouts });
  } catch (cause) {
    throw new LogCacheError('connection', `log-cache cannot be used: ${(cause as Error).message}`, { cause });
  }
}

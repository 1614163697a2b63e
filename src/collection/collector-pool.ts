import { availableParallelism } from 'node:os';
import type { EventLoopUtilization } from 'node:perf_hooks';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Clock } from '../clock.js';
import type { Logger } from '../observability/logger.js';
import { noCost } from './cost.js';
import type { CollectionJob, CollectionResult, CollectorWorkerData, JobFailed } from './job.js';
import { Slots } from './slots.js';

/** The threads that read log-cache. */
export interface CollectorPool {
  /** Never rejects: a thread that dies or does not answer is the failure `thread`. */
  run(job: CollectionJob): Promise<CollectionResult>;
  /** Share of time that the threads were busy since the last call, 0 to 1. */
  utilization(): number;
  /** Jobs waiting for a thread. */
  readonly queueSize: number;
  /** Ends the threads at once; jobs that still run fail. Idempotent. */
  close(): Promise<void>;
}

export interface CollectorPoolOptions {
  readonly workerData: CollectorWorkerData;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'error'>;
  /** See threadsFor. */
  readonly threads: number;
  /** Default: longer than any job may take by its own deadlines, so that only a stuck thread runs into it. */
  readonly jobTimeoutMs?: number;
  /** Default: the collector. */
  readonly workerFile?: URL;
}

/** Jobs wait for log-cache most of their time. As many as a thread has connections, so that none waits for one. */
const jobsPerThread = 100;
const maxQueuedJobs = 5_000;
const defaultJobTimeoutMs = 90_000;
const collectorFile = new URL('../../workers/collector.js', import.meta.url);

/**
 * Threads that hold so many jobs at once, within the processors that the main thread leaves. Not one for every
 * processor: a thread takes 20 MB, on a Cloud Foundry cell processors are many and belong to others, and two threads
 * read some hundred apps a second. Too few shows in the utilization, too many ends in a kill for memory.
 */
export function threadsFor(jobs: number, processors = availableParallelism()): number {
  return Math.max(1, Math.min(Math.ceil(jobs / jobsPerThread), processors - 1));
}

export function createCollectorPool(options: CollectorPoolOptions): CollectorPool {
  const { threads } = options;
  const jobTimeoutMs = options.jobTimeoutMs ?? defaultJobTimeoutMs;
  const pool = new Piscina<CollectionJob, CollectionResult>({
    filename: (options.workerFile ?? collectorFile).href,
    workerData: options.workerData,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: jobsPerThread,
    // Otherwise an idle thread sleeps so deeply that it does not see its connections close.
    atomics: 'disabled',
    stricterFIFO: true,
    recordTiming: false,
    // piscina's own balancer gives a thread to each job that has a signal.
    loadBalancer: (_job, workers) => leastBusy(workers),
  });
  pool.on('error', (error: unknown) => options.logger.error('collector-thread-failed', error));

  const runNow = async (job: CollectionJob): Promise<CollectionResult> => {
    const stuck = new AbortController();
    // Aborting ends the thread, which a stuck thread deserves: its other jobs fail too, and a new one takes over.
    const watchdog = options.clock.setTimer(jobTimeoutMs, () => stuck.abort());
    try {
      return await pool.run(job, { signal: stuck.signal });
    } catch (error) {
      return threadFailure(
        stuck.signal.aborted
          ? `the thread did not answer within ${jobTimeoutMs} ms`
          : `the thread ended: ${(error as Error).message}`,
      );
    } finally {
      watchdog.cancel();
    }
  };

  // Jobs wait here and not in piscina's queue: time spent waiting must not look like a thread that is stuck.
  const slots = new Slots(threads * jobsPerThread);
  const lastUtilization = new WeakMap<Worker, EventLoopUtilization>();
  let closing: Promise<void> | undefined;

  return {
    async run(job) {
      if (slots.waiting >= maxQueuedJobs) return threadFailure(`${maxQueuedJobs} jobs wait for a thread`);
      await slots.acquire();
      try {
        return closing ? threadFailure('the collector pool is closed') : await runNow(job);
      } finally {
        slots.release();
      }
    },

    utilization() {
      const shares = pool.threads.map((thread) => {
        const now = thread.performance.eventLoopUtilization();
        const last = lastUtilization.get(thread);
        lastUtilization.set(thread, now);
        return (last ? thread.performance.eventLoopUtilization(now, last) : now).utilization;
      });
      return shares.length === 0 ? 0 : shares.reduce((sum, share) => sum + share) / shares.length;
    },

    get queueSize() {
      return slots.waiting;
    },

    close: () => (closing ??= pool.destroy()),
  };
}

function leastBusy<W extends { currentUsage: number; isRunningAbortableTask: boolean }>(
  workers: readonly W[],
): W | null {
  let chosen: W | null = null;
  let lowest = jobsPerThread;
  for (const worker of workers) {
    // A single job with a signal is reported as an infinite load.
    const jobs = worker.isRunningAbortableTask ? 1 : worker.currentUsage;
    if (jobs < lowest) [chosen, lowest] = [worker, jobs];
  }
  return chosen;
}

function threadFailure(message: string): JobFailed {
  return { kind: 'failed', failure: 'thread', message, cost: noCost() };
}

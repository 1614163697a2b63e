import { availableParallelism } from 'node:os';
import type { EventLoopUtilization } from 'node:perf_hooks';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Clock } from '../../util/clock.js';
import type { Logger } from '../../observability/logger.js';
import { CollectorThread, threadFailure } from './collector-thread.js';
import type { CollectionJob, CollectionResult, CollectorWorkerData } from './job.js';
import type { Service } from './job-port.js';
import { Semaphore } from '../../util/semaphore.js';

/** The threads that read log-cache. */
export interface CollectorPool {
  /** Never rejects: a thread that dies or does not answer is the failure `thread`. */
  run(job: CollectionJob): Promise<CollectionResult>;
  /** Share of time that the threads were busy since the last call, 0 to 1. */
  utilization(): number;
  /** Jobs waiting for a thread. */
  readonly queueSize: number;
  /** New jobs go to new threads, which start with `workerData`. The old ones finish what they have, then they end. */
  replace(workerData: CollectorWorkerData): void;
  /** Ends the threads at once; jobs that still run fail. Idempotent. */
  close(): Promise<void>;
}

export interface CollectorPoolOptions {
  readonly workerData: CollectorWorkerData;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'error'>;
  /** See threadsFor. */
  readonly threads: number;
  /** The most reads that run at once over all threads, and the most queries. Others wait. */
  readonly mostJobs: number;
  /** Default: longer than the deadlines within a job allow, so that only a stuck thread exceeds it. */
  readonly jobTimeoutMs?: number;
  /** Default: the collector. */
  readonly workerFile?: URL;
}

/** Jobs mostly wait for log-cache. A thread could serve more, at the price of latency. */
const jobsPerThread = 200;
/** Another thread takes 20 to 30 MB. With up to 20,000 apps one thread has fewer jobs, except just after the start. */
const jobsBeforeAnother = 100;
const maxQueuedJobs = 5_000;
const defaultJobTimeoutMs = 90_000;
const collectorFile = new URL('../../../workers/collector.js', import.meta.url);

/**
 * The most threads that a process needs for so many jobs at once. Not one for each processor: a thread takes 20 to 30 MB,
 * and a Cloud Foundry cell shares its many processors among apps. If there are too few threads, the utilization shows
 * it; if there are too many, the platform kills the process for its memory.
 */
export function threadsFor(jobs: number, processors = availableParallelism()): number {
  return Math.min(Math.ceil(jobs / jobsPerThread), processors);
}

export function createCollectorPool(options: CollectorPoolOptions): CollectorPool {
  let current = startThreads(options);
  const replaced = new Set<Threads>();
  let isClosed = false;

  // Jobs wait here and not in a thread, so that a long wait does not look like a stuck thread. Queries have permits of
  // their own: they may hang while reads do not.
  const reads = new Semaphore(options.clock, () => options.mostJobs);
  const queries = new Semaphore(options.clock, () => options.mostJobs);
  const waiting = () => reads.waiting + queries.waiting;

  const endReplaced = () => {
    for (const threads of replaced) {
      if (threads.all.every(({ jobs }) => jobs === 0))
        void threads.end().finally(() => replaced.delete(threads));
    }
  };

  return {
    async run(job) {
      const permits = job.kind === 'query' ? queries : reads;
      if (waiting() >= maxQueuedJobs) return threadFailure(`${maxQueuedJobs} jobs wait for a thread`);
      await permits.acquire();
      try {
        return isClosed ? threadFailure(closed) : await leastBusy(current.all).run(job);
      } finally {
        permits.release();
        endReplaced();
      }
    },

    utilization: () => current.utilization(),

    get queueSize() {
      return waiting();
    },

    replace(workerData) {
      if (isClosed) return;
      const next = startThreads({ ...options, workerData });
      replaced.add(current);
      current = next;
      endReplaced();
    },

    async close() {
      isClosed = true;
      await Promise.all([current, ...replaced].map((threads) => threads.end()));
    },
  };
}

const closed = 'the collector pool is closed';

/** Threads that were started with the same worker data. */
interface Threads {
  readonly all: readonly CollectorThread[];
  utilization(): number;
  /** Idempotent. */
  end(): Promise<void>;
}

/** piscina starts, watches and replaces the threads. Each runs one task, which serves a port: that costs less per job. */
function startThreads(options: CollectorPoolOptions): Threads {
  const { clock, logger, threads: count, jobTimeoutMs = defaultJobTimeoutMs } = options;
  const pool = new Piscina<Service, never>({
    filename: (options.workerFile ?? collectorFile).href,
    workerData: options.workerData,
    minThreads: 1,
    maxThreads: count,
    // Otherwise an idle thread sleeps without an event loop and does not notice that connections are closed.
    atomics: 'disabled',
    recordTiming: false,
  });
  pool.on('error', (error: unknown) => logger.error('collector-thread-failed', error));
  const start = (service: Service, signal: AbortSignal) =>
    pool.run(service, { signal, transferList: [service.port] });
  const all = Array.from({ length: count }, () => new CollectorThread({ start, clock, jobTimeoutMs }));
  let ended: Promise<void> | undefined;

  return {
    all,
    utilization: utilizationSinceLastCall(pool),
    end() {
      ended ??= pool.destroy();
      for (const thread of all) thread.end(closed);
      return ended;
    },
  };
}

function utilizationSinceLastCall(pool: Pick<Piscina, 'threads'>): () => number {
  const lasts = new WeakMap<Worker, EventLoopUtilization>();
  return () => {
    const shares = pool.threads.map((thread) => {
      const now = thread.performance.eventLoopUtilization();
      const last = lasts.get(thread);
      lasts.set(thread, now);
      return (last ? thread.performance.eventLoopUtilization(now, last) : now).utilization;
    });
    return shares.length === 0 ? 0 : shares.reduce((sum, share) => sum + share) / shares.length;
  };
}

/** A thread that does not run is only started if all others have many jobs. */
function leastBusy(threads: readonly CollectorThread[]): CollectorThread {
  const load = (thread: CollectorThread) => (thread.isRunning ? thread.jobs : jobsBeforeAnother);
  return threads.reduce((least, thread) => (load(thread) < load(least) ? thread : least));
}

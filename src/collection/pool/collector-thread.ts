import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Clock, Timer } from '../../util/clock.js';
import { noCost } from './cost.js';
import type { CollectionJob, CollectionResult } from './job.js';
import type { Jobs, Results, Service } from './job-port.js';

export interface CollectorThreadOptions {
  /** Starts a thread that serves what comes through the port; rejects when the thread ends or is aborted. */
  readonly start: (service: Service, signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly jobTimeoutMs: number;
}

interface Running {
  readonly port: MessagePort;
  readonly stop: AbortController;
}

interface Pending {
  readonly resolve: (result: CollectionResult) => void;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

/** The main thread's end of one collector thread. A thread that has ended is started again with the next job. */
export class CollectorThread {
  #running: Running | null = null;
  #outbox: [id: number, job: CollectionJob][] = [];
  /** By id. An array, because a Map whose entries come and go leaves old tables that keep results from being collected early. */
  #pending: (Pending | null)[] = [];
  readonly #freeIds: number[] = [];
  /** One for all jobs: a timer for each would take more memory than the job. */
  #watchdog: Timer | null = null;

  constructor(private readonly options: CollectorThreadOptions) {}

  /** Jobs without a result yet. */
  get jobs(): number {
    return this.#pending.length - this.#freeIds.length;
  }

  /** Whether it runs, or is about to. */
  get isRunning(): boolean {
    return this.#running !== null || this.jobs > 0;
  }

  /** Never rejects. */
  run(job: CollectionJob): Promise<CollectionResult> {
    const { clock, jobTimeoutMs } = this.options;
    return new Promise((resolve) => {
      const id = this.#freeIds.pop() ?? this.#pending.length;
      this.#pending[id] = { resolve, sinceMs: clock.monotonic() };
      this.#watchdog ??= clock.setTimer(jobTimeoutMs, () => this.#watch());
      if (this.#outbox.push([id, job]) === 1) queueMicrotask(() => this.#post());
    });
  }

  /** Ends the thread, and fails the jobs without a result. */
  end(reason: string): void {
    const running = this.#running;
    this.#running = null;
    this.#outbox = [];
    running?.port.close();
    running?.stop.abort();
    const pending = this.#pending;
    this.#pending = [];
    this.#freeIds.length = 0;
    this.#stopWatching();
    for (const job of pending) job?.resolve(threadFailure(reason));
  }

  /** Ends a stuck thread: its other jobs fail too, and a new one takes over. */
  #watch(): void {
    const { clock, jobTimeoutMs } = this.options;
    const oldestMs = this.#pending.reduce(
      (oldest, job) => Math.min(oldest, job?.sinceMs ?? Infinity),
      Infinity,
    );
    const leftMs = oldestMs + jobTimeoutMs - clock.monotonic();
    if (leftMs <= 0) this.end(`the thread did not answer within ${jobTimeoutMs} ms`);
    else this.#watchdog = clock.setTimer(leftMs, () => this.#watch());
  }

  #stopWatching(): void {
    this.#watchdog?.cancel();
    this.#watchdog = null;
  }

  #post(): void {
    if (this.#outbox.length === 0) return;
    const message: Jobs = this.#outbox;
    this.#outbox = [];
    this.#running ??= this.#start();
    this.#running.port.ref();
    this.#running.port.postMessage(message);
  }

  #start(): Running {
    const { port1: port, port2 } = new MessageChannel();
    const stop = new AbortController();
    const running = { port, stop };
    port.on('message', (results: Results) => this.#take(results));
    void this.options.start({ port: port2 }, stop.signal).catch((error: unknown) => {
      if (this.#running === running) this.end(`the thread ended: ${(error as Error).message}`);
    });
    return running;
  }

  #take(results: Results): void {
    for (const [id, result] of results) {
      const job = this.#pending[id];
      this.#pending[id] = null;
      this.#freeIds.push(id);
      job?.resolve(result);
    }
    if (this.jobs > 0) return;
    // An idle thread must not keep the process from ending.
    this.#running?.port.unref();
    this.#stopWatching();
  }
}

export function threadFailure(message: string): CollectionResult {
  return { kind: 'failed', failure: 'thread', message, cost: noCost() };
}

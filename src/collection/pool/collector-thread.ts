import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Clock } from '../../util/clock.js';
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

/** The main thread's end of one collector thread. A thread that has ended is started again with the next job. */
export class CollectorThread {
  #running: Running | null = null;
  #outbox: [id: number, job: CollectionJob][] = [];
  /** By id. An array, because a Map whose entries come and go leaves old tables that keep results from being collected early. */
  #pending: (((result: CollectionResult) => void) | null)[] = [];
  readonly #freeIds: number[] = [];

  constructor(private readonly options: CollectorThreadOptions) {}

  /** Jobs without a result yet. */
  get jobs(): number {
    return this.#pending.length - this.#freeIds.length;
  }

  /** Never rejects. */
  run(job: CollectionJob): Promise<CollectionResult> {
    const { clock, jobTimeoutMs } = this.options;
    return new Promise((resolve) => {
      // A stuck thread is ended: its other jobs fail too, and a new one takes over.
      const watchdog = clock.setTimer(jobTimeoutMs, () =>
        this.end(`the thread did not answer within ${jobTimeoutMs} ms`),
      );
      const id = this.#freeIds.pop() ?? this.#pending.length;
      this.#pending[id] = (result) => {
        watchdog.cancel();
        resolve(result);
      };
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
    for (const fail of pending) fail?.(threadFailure(reason));
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
      const resolve = this.#pending[id];
      this.#pending[id] = null;
      this.#freeIds.push(id);
      resolve?.(result);
    }
    // An idle thread must not keep the process from ending.
    if (this.jobs === 0) this.#running?.port.unref();
  }
}

export function threadFailure(message: string): CollectionResult {
  return { kind: 'failed', failure: 'thread', message, cost: noCost() };
}

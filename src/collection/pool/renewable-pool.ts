import type { CollectorPool } from './collector-pool.js';
import type { CollectionJob, CollectionResult } from './job.js';

/** A pool whose threads can be exchanged for others while jobs run: what a thread works with it is told only once. */
export interface RenewablePool extends CollectorPool {
  /** New jobs go to `next`. The old threads finish what they have, then they end. */
  replace(next: CollectorPool): void;
}

/** Owns the pool given to it, and each that replaces it. */
export function createRenewablePool(first: CollectorPool): RenewablePool {
  let current = new Generation(first);
  /** All that still run jobs; the current one too. */
  const generations = new Set([current]);
  let closed = false;

  return {
    run: (job) => current.run(job),

    replace(next) {
      if (closed) {
        void next.close();
        return;
      }
      const old = current;
      current = new Generation(next);
      generations.add(current);
      void old.drained().then(async () => {
        await old.pool.close();
        generations.delete(old);
      });
    },

    utilization: () => current.pool.utilization(),

    get queueSize() {
      return [...generations].reduce((sum, { pool }) => sum + pool.queueSize, 0);
    },

    async close() {
      closed = true;
      await Promise.all([...generations].map(({ pool }) => pool.close()));
    },
  };
}

/** A pool and its jobs that have not ended. None of them lasts for ever: the pool has a deadline for each. */
class Generation {
  readonly #running = new Set<Promise<unknown>>();

  constructor(readonly pool: CollectorPool) {}

  async run(job: CollectionJob): Promise<CollectionResult> {
    const result = this.pool.run(job);
    this.#running.add(result);
    try {
      return await result;
    } finally {
      this.#running.delete(result);
    }
  }

  /** Resolves when the jobs of now have ended. */
  async drained(): Promise<void> {
    await Promise.all(this.#running);
  }
}

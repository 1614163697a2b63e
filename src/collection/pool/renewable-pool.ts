import type { CollectorPool } from './collector-pool.js';

/** A pool whose threads can be replaced while jobs run: a thread is told only once what it works with. */
export interface RenewablePool extends CollectorPool {
  /** New jobs go to `next`. The old threads finish what they have, then they end. */
  replace(next: CollectorPool): void;
}

/** Owns the pool given to it, and each that replaces it. */
export function createRenewablePool(first: CollectorPool): RenewablePool {
  let current = first;
  let closed = false;
  /** Jobs of each pool that have not ended. A replaced pool is closed after its last one: each has a deadline. */
  const running = new Map([[first, 0]]);

  const add = (pool: CollectorPool, jobs: number) => running.set(pool, (running.get(pool) ?? 0) + jobs);
  const closeIfDone = (pool: CollectorPool) => {
    if (pool === current || running.get(pool) !== 0) return;
    void pool.close().finally(() => running.delete(pool));
  };

  return {
    // Not async: each job waits here, and an async function keeps more memory than a callback. `run` never rejects.
    run(job) {
      const pool = current;
      add(pool, 1);
      return pool.run(job).then((result) => {
        add(pool, -1);
        closeIfDone(pool);
        return result;
      });
    },

    replace(next) {
      if (closed) return void next.close();
      const old = current;
      current = next;
      running.set(next, 0);
      closeIfDone(old);
    },

    utilization: () => current.utilization(),

    get queueSize() {
      return [...running.keys()].reduce((sum, pool) => sum + pool.queueSize, 0);
    },

    async close() {
      closed = true;
      await Promise.all([...running.keys()].map((pool) => pool.close()));
    },
  };
}

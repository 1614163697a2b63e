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

  const closeIfDone = (pool: CollectorPool) => {
    if (pool === current || running.get(pool) !== 0) return;
    void pool.close().finally(() => running.delete(pool));
  };

  return {
    async run(job) {
      const pool = current;
      const add = (jobs: number) => running.set(pool, (running.get(pool) ?? 0) + jobs);
      add(1);
      try {
        return await pool.run(job);
      } finally {
        add(-1);
        closeIfDone(pool);
      }
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

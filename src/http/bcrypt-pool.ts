import { Piscina } from 'piscina';

/** Texts and the bcrypt hashes they are said to belong to. */
export type BcryptJob = readonly { readonly text: string; readonly hash: string }[];

/** One comparison of cost 10 takes some 80 ms: more of them waiting are a flood, and answered as one. */
const maxWaiting = 8;

/** Covers a hash of cost 14 behind a full queue of the usual ones. */
const comparisonDeadlineMs = 10_000;

const idleTimeoutMs = 30_000;

export interface BcryptPool {
  /** Whether all belong together; `busy` where that cannot be found out soon. Never rejects. */
  compare(job: BcryptJob): Promise<boolean | 'busy'>;
  close(): Promise<void>;
}

/** Compares in a thread of its own that starts at the first use: bcrypt is made to be slow. */
export function createBcryptPool(): BcryptPool {
  let pool: Piscina<BcryptJob, boolean> | undefined;
  let closed = false;
  return {
    async compare(job) {
      if (closed) return 'busy';
      pool ??= new Piscina<BcryptJob, boolean>({
        filename: new URL('../../workers/basic-auth.js', import.meta.url).href,
        name: 'compareAll',
        minThreads: 0,
        maxThreads: 1,
        maxQueue: maxWaiting,
        idleTimeout: idleTimeoutMs,
      });
      try {
        return await pool.run(job, { signal: AbortSignal.timeout(comparisonDeadlineMs) });
      } catch {
        return 'busy';
      }
    },
    async close() {
      closed = true;
      await pool?.destroy();
    },
  };
}

import { Piscina } from 'piscina';
import type { Clock } from '../util/clock.js';

/** Texts, each with the bcrypt hash that it is compared with. */
export type BcryptJob = readonly { readonly text: string; readonly hash: string }[];

/** One comparison of cost 10 takes about 80 ms. More that wait are a flood. */
const maxWaiting = 8;

/** Long enough for a hash of cost 14 behind a full queue of usual ones. */
const comparisonDeadlineMs = 10_000;

const idleTimeoutMs = 30_000;

export interface BcryptPool {
  /** Whether all texts match; `busy` where that cannot be found out soon. Never rejects. */
  compare(job: BcryptJob): Promise<boolean | 'busy'>;
  close(): Promise<void>;
}

/** Compares in a thread of its own, because bcrypt is slow by design. The thread starts at the first use. */
export function createBcryptPool(clock: Pick<Clock, 'setTimer'>): BcryptPool {
  let pool: Piscina<BcryptJob, boolean> | undefined;
  let closed = false;
  let waiting = 0;
  return {
    async compare(job) {
      if (closed || waiting >= maxWaiting) return 'busy';
      pool ??= new Piscina<BcryptJob, boolean>({
        filename: new URL('../../workers/basic-auth.js', import.meta.url).href,
        name: 'compareAll',
        minThreads: 0,
        maxThreads: 1,
        idleTimeout: idleTimeoutMs,
      });
      const tooLate = new AbortController(); // also ends the thread, if it runs this job
      const deadline = clock.setTimer(comparisonDeadlineMs, () => tooLate.abort());
      waiting++;
      try {
        return await pool.run(job, { signal: tooLate.signal });
      } catch {
        return 'busy';
      } finally {
        deadline.cancel();
        waiting--;
      }
    },
    async close() {
      closed = true;
      await pool?.destroy();
    },
  };
}

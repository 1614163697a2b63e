import type { Clock } from '../util/clock.js';
import { Semaphore } from '../util/semaphore.js';

/** A usual response is read in milliseconds: a request that waits this long has slow readers before it. */
const timeoutMs = 5_000;

/**
 * Lets at most `most` read at a time; others wait for at most 5 s. A client that hardly reads keeps its cursor, and with
 * it a connection, until its response has ended. Without a bound a few such clients would take the whole pool, and with
 * it the lease and the app metrics that are to be written.
 */
export function createReaderShare<Query, Batch>(
  most: number,
  clock: Pick<Clock, 'setTimer'>,
  read: (query: Query) => AsyncIterable<Batch>,
): (query: Query) => AsyncIterable<Batch> {
  const permits = new Semaphore(clock, () => most);
  return async function* (query) {
    if (!(await permits.acquire({ timeoutMs }))) {
      throw new Error(
        `${most} histories are being read, as many as may be, and none ended in ${timeoutMs / 1000} s`,
      );
    }
    try {
      yield* read(query);
    } finally {
      permits.release();
    }
  };
}

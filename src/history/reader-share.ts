import type { Clock } from '../util/clock.js';

/** A usual answer is read in milliseconds: who waits this long has slow readers before it. */
const waitDeadlineMs = 5_000;

/**
 * Lets at most `most` read at a time; others wait for a place, at most 5 s. A client that hardly reads keeps its cursor, and
 * with it a connection, for as long as its answer may take: without a bound a few of them would take the whole pool,
 * and with it the lease and the app metrics that are to be written.
 */
export function createReaderShare<Query, Batch>(
  most: number,
  clock: Pick<Clock, 'setTimer'>,
  read: (query: Query) => AsyncIterable<Batch>,
): (query: Query) => AsyncIterable<Batch> {
  let free = most;
  const waiting = new Set<() => void>();

  const place = () =>
    new Promise<void>((resolve, reject) => {
      if (free > 0) {
        free--;
        return resolve();
      }
      const deadline = clock.setTimer(waitDeadlineMs, () => {
        waiting.delete(take);
        reject(
          new Error(
            `${most} histories are being read, as many as may be, and none ended in ${waitDeadlineMs / 1000} s`,
          ),
        );
      });
      const take = () => {
        deadline.cancel();
        resolve();
      };
      waiting.add(take);
    });

  const handOn = () => {
    const [next] = waiting;
    if (!next) return void free++;
    waiting.delete(next);
    next();
  };

  return async function* (query) {
    await place();
    try {
      yield* read(query);
    } finally {
      handOn();
    }
  };
}

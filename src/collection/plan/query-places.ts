import type { Clock } from '../../util/clock.js';
import type { ConcurrencyLimit } from '../../schedule/concurrency-limit.js';

/** Whoever waits longer is close to the app's next cycle, which asks for newer values. */
const longestWaitMs = 20_000;

/**
 * Places for queries in flight, apart from those of reads: only queries pass through Cloud Controller, and what makes
 * them hang must not hold up the reads.
 */
export class QueryPlaces {
  /** Longest first. */
  readonly #waiting = new Set<(granted: boolean) => void>();
  #inFlight = 0;

  constructor(
    private readonly clock: Pick<Clock, 'setTimer'>,
    private readonly limit: ConcurrencyLimit,
  ) {}

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Resolves to whether there is a place. */
  take(): Promise<boolean> {
    if (this.#inFlight < this.limit.current) {
      this.#inFlight++;
      return Promise.resolve(true);
    }
    this.limit.waited();
    return new Promise((resolve) => {
      const end = (granted: boolean) => {
        this.#waiting.delete(end);
        timer.cancel();
        resolve(granted);
      };
      const timer = this.clock.setTimer(longestWaitMs, () => end(false));
      this.#waiting.add(end);
    });
  }

  /** Gives a place back. `ok` is false if log-cache failed the query. */
  release(durationMs: number, ok: boolean): void {
    this.#inFlight--;
    this.limit.finished(durationMs, ok);
    for (const end of this.#waiting) {
      if (this.#inFlight >= this.limit.current) return;
      this.#inFlight++;
      end(true);
    }
  }

  /** None of those who wait gets a place. */
  turnAway(): void {
    for (const end of [...this.#waiting]) end(false);
  }
}

import type { Clock } from '../util/clock.js';
import { DatabaseTimeoutError } from './errors.js';

/** One time limit for several waits in a row: for a connection, then for the answer. */
export class Deadline {
  readonly #endsAt: number;

  constructor(
    private readonly clock: Clock,
    /** For messages: `policy_db`, `appmetrics_db`. */
    readonly database: string,
    private readonly timeoutMs: number,
  ) {
    this.#endsAt = clock.monotonic() + timeoutMs;
  }

  /** Milliseconds, never negative. */
  remainingMs(): number {
    return Math.max(0, this.#endsAt - this.clock.monotonic());
  }

  /** The promise's outcome, or a DatabaseTimeoutError. An outcome that comes later is ignored. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimer(this.remainingMs(), () =>
        reject(new DatabaseTimeoutError(`${this.database} did not answer within ${this.timeoutMs} ms`)),
      );
      promise.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

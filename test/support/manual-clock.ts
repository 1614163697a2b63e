import { punctualTimers, type Clock } from '../../src/util/clock.js';

interface Pending {
  at: number;
  sequence: number;
  callback: () => void;
}

/**
 * A clock that stands still until told to move. Timers fire in order of their time while it moves. They are the system
 * clock's, on a setTimeout that cuts fractions of milliseconds just as Node.js does.
 */
export class ManualClock implements Clock {
  #monotonic = 0;
  #wallOffset: number;
  #sequence = 0;
  #pending = new Set<Pending>();
  #waiters: { count: number; resolve: () => void }[] = [];

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallOffset = wallMs;
  }

  now(): number {
    return this.#wallOffset + this.#monotonic;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  readonly setTimer = punctualTimers(
    () => this.#monotonic,
    (delayMs, wake) => this.#wakeAfter(delayMs, wake),
  );

  #wakeAfter(delayMs: number, callback: () => void): () => void {
    const at = Math.max(this.#monotonic, Math.floor(this.#monotonic) + Math.trunc(Math.max(0, delayMs)));
    const pending = { at, sequence: this.#sequence++, callback };
    this.#pending.add(pending);
    this.#waiters = this.#waiters.filter((waiter) => {
      if (this.#pending.size < waiter.count) return true;
      waiter.resolve();
      return false;
    });
    return () => void this.#pending.delete(pending);
  }

  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer fires, or undefined if there is none. */
  get nextTimerInMs(): number | undefined {
    const next = this.#next(Infinity);
    return next && next.at - this.#monotonic;
  }

  /** Resolves when at least `count` timers are pending. */
  timersPending(count = 1): Promise<void> {
    if (this.#pending.size >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Moves time forward, firing what falls due, and lets promise callbacks run after each timer. */
  async advance(ms: number): Promise<void> {
    const target = this.#monotonic + ms;
    await settle();
    for (let next = this.#next(target); next; next = this.#next(target)) {
      this.#monotonic = Math.max(this.#monotonic, next.at);
      this.#pending.delete(next);
      next.callback();
      await settle();
    }
    this.#monotonic = target;
    await settle();
  }

  /** Moves only the wall clock, as an operator or NTP would. */
  jumpWallClock(ms: number): void {
    this.#wallOffset += ms;
  }

  #next(until: number): Pending | undefined {
    let first: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.at > until) continue;
      if (!first || pending.at < first.at || (pending.at === first.at && pending.sequence < first.sequence)) {
        first = pending;
      }
    }
    return first;
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
}

import type { Clock } from '../util/clock.js';
import type { Direction } from '../policy/policy.js';

type Waiter = (granted: boolean) => void;

/**
 * Bounds the posts in flight. Whoever waits is served in order of arrival, scale-outs first: an app that gets its
 * instances late is an outage, one that keeps them too long only costs money. Waiters are bounded by their users,
 * who ask for one slot per app at a time.
 */
export class PostSlots {
  readonly #clock: Clock;
  readonly #waiting: Readonly<Record<Direction, Set<Waiter>>> = { out: new Set(), in: new Set() };
  #free: number;

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#free = limit;
  }

  /** True as soon as a slot is taken for the caller, who must release it; false if none came free in time. */
  acquire(direction: Direction, timeoutMs: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve(true);
    }
    const queue = this.#waiting[direction];
    return new Promise((resolve) => {
      const waiter: Waiter = (granted) => {
        timer.cancel();
        queue.delete(waiter);
        resolve(granted);
      };
      const timer = this.#clock.setTimer(timeoutMs, () => waiter(false));
      queue.add(waiter);
    });
  }

  release(): void {
    for (const queue of [this.#waiting.out, this.#waiting.in]) {
      for (const waiter of queue) return waiter(true);
    }
    this.#free++;
  }
}

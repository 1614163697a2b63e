import type { Clock } from './clock.js';

export interface AcquireOptions {
  /** Milliseconds; without it the wait has no end. */
  readonly timeoutMs?: number;
  /** Comes before all that are not urgent. */
  readonly urgent?: boolean;
}

type Waiter = (granted: boolean) => void;

/**
 * Bounds how much happens at once. Those that find no permit free wait in order of arrival. The callers
 * bound how many wait.
 */
export class Semaphore {
  readonly #waiting = { urgent: new Set<Waiter>(), ordinary: new Set<Waiter>() };
  #taken = 0;

  constructor(
    private readonly clock: Pick<Clock, 'setTimer'>,
    /** Asked each time: the limit may change. */
    private readonly limit: () => number,
  ) {}

  /** Permits in use. */
  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiting.urgent.size + this.#waiting.ordinary.size;
  }

  get isFull(): boolean {
    return this.#taken >= this.limit();
  }

  /** True as soon as the caller has a permit, which it must release; false if none came free in time. */
  acquire({ timeoutMs, urgent = false }: AcquireOptions = {}): Promise<boolean> {
    if (!this.isFull) {
      this.#taken++;
      return Promise.resolve(true);
    }
    const queue = urgent ? this.#waiting.urgent : this.#waiting.ordinary;
    return new Promise((resolve) => {
      const waiter: Waiter = (granted) => {
        timer?.cancel();
        queue.delete(waiter);
        resolve(granted);
      };
      const timer = timeoutMs === undefined ? null : this.clock.setTimer(timeoutMs, () => waiter(false));
      queue.add(waiter);
    });
  }

  release(): void {
    this.#taken--;
    for (const waiter of this.#inOrder()) {
      if (this.isFull) return;
      this.#taken++;
      waiter(true);
    }
  }

  /** Ends the wait of all that have no permit yet. */
  turnAway(): void {
    for (const waiter of this.#inOrder()) waiter(false);
  }

  *#inOrder(): Generator<Waiter> {
    yield* this.#waiting.urgent;
    yield* this.#waiting.ordinary;
  }
}

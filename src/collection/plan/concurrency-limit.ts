import type { Clock } from '../../util/clock.js';

/** A process of 50,000 apps needs this many to catch up after its start. More would harm a sick log-cache. */
const ceiling = 400;
/** How often the limit changes: long enough to see the effect of the last change. */
const periodMs = 1000;
/** If collections take longer than this on average, log-cache is queueing what we send. */
const slowMs = 2000;
/** A larger share of failed collections than this is trouble; single broken apps are not. */
const badShare = 0.1;

/** The most collections that are ever in flight. */
export function mostInFlight(floor: number): number {
  return Math.max(floor, ceiling);
}

/**
 * How many collections may be in flight. Grows while collections wait for the limit and log-cache serves them well, and
 * halves as soon as it does not; never below `floor`, and never above 400 unless `floor` is. Until the first trouble it
 * doubles: a process that starts with tens of thousands of apps should not have to catch up for minutes. After that it
 * grows by a quarter.
 */
export class ConcurrencyLimit {
  #current: number;
  #periodStartMs: number;
  #count = 0;
  #failed = 0;
  #totalMs = 0;
  #isWanted = false;
  #hadTrouble = false;

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly floor: number,
  ) {
    this.#current = floor;
    this.#periodStartMs = clock.monotonic();
  }

  get current(): number {
    return this.#current;
  }

  /** Reports a finished collection. `isServed` is false if log-cache failed it. */
  finished(durationMs: number, isServed: boolean): void {
    this.#count++;
    this.#totalMs += durationMs;
    if (!isServed) this.#failed++;
    const nowMs = this.clock.monotonic();
    if (nowMs - this.#periodStartMs < periodMs) return;
    this.#adapt();
    this.#periodStartMs = nowMs;
    this.#count = this.#failed = this.#totalMs = 0;
    this.#isWanted = false;
  }

  /** Reports that a due collection had to wait for the limit. */
  waited(): void {
    this.#isWanted = true;
  }

  #adapt(): void {
    const hasTrouble = this.#failed > this.#count * badShare || this.#totalMs > this.#count * slowMs;
    this.#hadTrouble ||= hasTrouble;
    if (hasTrouble) {
      this.#current = Math.max(this.floor, Math.floor(this.#current / 2));
    } else if (this.#isWanted) {
      const step = this.#hadTrouble ? Math.ceil(this.#current / 4) : this.#current;
      this.#current = Math.min(mostInFlight(this.floor), this.#current + step);
    }
  }
}

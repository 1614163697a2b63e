import TinyQueue from 'tinyqueue';
import type { Clock, Timer } from '../../../src/util/clock.js';

interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly happen: () => void;
}

/** True time, which nobody in it can read, and everything that is going to happen. */
export class World {
  /** True milliseconds since the beginning. */
  now = 0;
  readonly random: () => number;
  #sequence = 0;
  #events = new TinyQueue<Event>([], (a, b) => a.at - b.at || a.sequence - b.sequence);

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  at(time: number, happen: () => void): void {
    this.#events.push({ at: Math.max(time, this.now), sequence: this.#sequence++, happen });
  }

  until(time: number): Promise<void> {
    return new Promise((resolve) => this.at(time, resolve));
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** Lets everything happen up to the given time, one event after the other with all that follows from it at once. */
  async run(until: number): Promise<void> {
    for (let event = this.#events.peek(); event && event.at <= until; event = this.#events.peek()) {
      this.#events.pop();
      this.now = event.at;
      event.happen();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.now = until;
  }
}

/**
 * One process with its own clocks: the monotonic one runs a little fast or slow from an arbitrary start, the wall
 * clock shows anything. While it is frozen, what should happen in it waits.
 */
export class Process implements Clock {
  #waiting: (() => void)[] = [];
  #state: 'running' | 'frozen' | 'dead' = 'running';
  readonly #startMs: number;
  #wallMs: number;

  constructor(
    readonly world: World,
    readonly rate: number,
  ) {
    this.#startMs = world.between(0, 1e7);
    this.#wallMs = world.between(1.6e12, 1.9e12);
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  now(): number {
    return this.#wallMs + this.world.now;
  }

  jumpWallClock(ms: number): void {
    this.#wallMs += ms;
  }

  monotonic(): number {
    return this.#startMs + this.rate * this.world.now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const fire = () => {
      if (!isCancelled) callback();
    };
    this.world.at(this.world.now + Math.max(0, delayMs) / this.rate, () => this.perform(fire));
    return { cancel: () => void (isCancelled = true) };
  }

  /** Something reaches the process: now, when it is woken, or never. */
  perform(callback: () => void): void {
    if (this.#state === 'running') callback();
    else if (this.#state === 'frozen') this.#waiting.push(callback);
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  wake(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const callback of this.#waiting.splice(0))
      this.world.at(this.world.now, () => this.perform(callback));
  }

  kill(): void {
    this.#state = 'dead';
    this.#waiting = [];
  }
}

/** Mulberry32: small, and good enough to draw delays with. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

import { fraction, mix } from '../platform/deterministic.js';

/** Random numbers that repeat with the seed. */
export class Random {
  #count = 0;

  constructor(private readonly seed: number) {}

  /** In [0, 1). */
  next(): number {
    return fraction(mix(this.seed, this.#count++));
  }

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + (to - from) * this.next();
  }

  /** A whole number in [from, to]. */
  whole(from: number, to: number): number {
    return Math.floor(this.between(from, to + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const picked = choices[this.whole(0, choices.length - 1)];
    if (picked === undefined) throw new Error('nothing to choose from');
    return picked;
  }

  /** Another sequence, which what is drawn here does not change. */
  fork(number: number): Random {
    return new Random(mix(this.seed, number + 0x5eed));
  }
}

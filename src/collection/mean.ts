/**
 * The exact mean of integers. Sums stay in a number while that is exact and move to a bigint before it is not.
 * Means of parts of a window can be merged into the mean of the whole.
 */
export class Mean {
  #count = 0;
  #small = 0;
  #large = 0n;

  get count(): number {
    return this.#count;
  }

  /** `value` is an integer. */
  add(value: number): void {
    this.#count++;
    const sum = this.#small + value;
    if (Number.isSafeInteger(sum) && Number.isSafeInteger(value)) {
      this.#small = sum;
    } else {
      this.#large += BigInt(this.#small) + BigInt(value);
      this.#small = 0;
    }
  }

  merge(other: Mean): void {
    this.#count += other.#count;
    this.#large += other.#large + BigInt(other.#small);
  }

  /** The mean rounded up; null of nothing. */
  ceil(): bigint | null {
    if (this.#count === 0) return null;
    const sum = this.#large + BigInt(this.#small);
    const count = BigInt(this.#count);
    // bigint division rounds towards zero, which is up for a negative sum.
    return sum / count + (sum > 0n && sum % count !== 0n ? 1n : 0n);
  }
}

const int64End = 2 ** 63;

/** Whether a double is finite and within int64. */
export function fitsInt64(value: number): boolean {
  return value >= -int64End && value < int64End;
}

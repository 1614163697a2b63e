/** The exact mean of integers. The sum is a number while that is exact, and moves to a bigint before it is not. */
export class Mean {
  #count = 0;
  #small = 0;
  #large = 0n;

  get count(): number {
    return this.#count;
  }

  /** The sum, or null where a number would not be exact. */
  get exactSum(): number | null {
    return this.#large === 0n ? this.#small : null;
  }

  /** `value` is an integer. */
  add(value: number): void {
    this.addSum(value, 1);
  }

  /** Adds `count` integers by their sum. */
  addSum(added: number, count: number): void {
    this.#count += count;
    const sum = this.#small + added;
    if (Number.isSafeInteger(sum) && Number.isSafeInteger(added)) {
      this.#small = sum;
    } else {
      this.#large += BigInt(this.#small) + BigInt(added);
      this.#small = 0;
    }
  }

  merge(other: Mean): void {
    this.addSum(other.#small, other.#count);
    if (other.#large !== 0n) this.#large += other.#large;
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

/** The exact mean of integers. */
export class Mean {
  #count = 0;
  #sum = 0n;

  get count(): number {
    return this.#count;
  }

  /** The sum, or null where a number would not be exact. */
  get exactSum(): number | null {
    const sum = Number(this.#sum);
    return Number.isSafeInteger(sum) ? sum : null;
  }

  /** `value` is an integer. */
  add(value: number): void {
    this.addSum(value, 1);
  }

  /** Adds `count` integers by their sum. */
  addSum(sum: number, count: number): void {
    this.#count += count;
    this.#sum += BigInt(sum);
  }

  merge(other: Mean): void {
    this.#count += other.#count;
    this.#sum += other.#sum;
  }

  /** The mean rounded up; null of nothing. */
  ceil(): bigint | null {
    if (this.#count === 0) return null;
    const sum = this.#sum;
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

import { cellsPerPoint, timestampIn } from '../history/point-memory.js';
import { nsToMs } from '../util/clock.js';

/** The recorded app metrics of one app and metric type, oldest first, packed as a ring of a history packs them. */
export class Recording {
  readonly size: number;
  readonly #cells: BigInt64Array;
  #ms: Float64Array | null = null;
  #numbers: Float64Array | null = null;

  constructor(
    readonly metricType: string,
    /** Of values; empty where there is none. */
    readonly unit: string,
    /** Timestamps rise strictly. */
    cells: BigInt64Array,
  ) {
    this.#cells = cells;
    this.size = cells.length / cellsPerPoint;
  }

  /** `index` counts from 0, the oldest. ns since the epoch. */
  timestampAt(index: number): bigint {
    return timestampIn(this.#cell(index, 0));
  }

  /** null is *no data*. */
  valueAt(index: number): bigint | null {
    return this.#cell(index, 0) < 0n ? null : this.#cell(index, 1);
  }

  /** Wall-clock ms of all points, for what need not be exact. */
  get ms(): Float64Array {
    if (this.#ms) return this.#ms;
    const ms = new Float64Array(this.size);
    for (let index = 0; index < ms.length; index++) ms[index] = nsToMs(this.timestampAt(index));
    return (this.#ms = ms);
  }

  /** Values as numbers, for what need not be exact; NaN is *no data*. */
  get numbers(): Float64Array {
    if (this.#numbers) return this.#numbers;
    const numbers = new Float64Array(this.size);
    for (let index = 0; index < numbers.length; index++) numbers[index] = Number(this.valueAt(index) ?? NaN);
    return (this.#numbers = numbers);
  }

  /** Index of the first point at or after a time, wall-clock ms; the size where there is none. */
  firstFrom(atMs: number): number {
    const { ms } = this;
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ms[middle] ?? Infinity) < atMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #cell(index: number, half: 0 | 1): bigint {
    const cell = this.#cells[cellsPerPoint * index + half];
    if (cell === undefined) throw new RangeError(`no point ${index} among ${this.size}`);
    return cell;
  }
}

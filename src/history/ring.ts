import { isInt64 } from '../util/int64.js';
import type { AppMetric } from './app-metric.js';
import {
  blockSize,
  cellsPerPoint,
  noSlab,
  timestampIn,
  type BlockSlab,
  type PointMemory,
} from './point-memory.js';

/** A history as rules read it: by age, 0 is the newest point, `size - 1` the oldest. */
export interface Series {
  readonly size: number;
  /** Unit of the newest value; empty while there is none. */
  readonly unit: string;
  /** ns since the epoch; falls strictly with age. */
  timestampAt(age: number): bigint;
  /** null is *no data*. */
  valueAt(age: number): bigint | null;
}

/** One bigint for all rings, because each evaluation of the literal makes another. */
const never = -1n;

/**
 * The newest app metrics of one app and metric type, 16 bytes a point: the timestamp and the value as int64.
 * *No data* is told by the timestamp's sign (its bitwise complement is stored), so that every int64 stays a value.
 */
export class Ring implements Series {
  readonly #memory: PointMemory;
  /** Where the points are: a block of this slab, from this cell on. */
  #slab: BlockSlab = noSlab;
  #block = 0;
  /** Index of the oldest point in the block, counted in points. */
  #start = 0;
  #size = 0;
  #capacity: number;
  #unit: string | null = null;
  /** From here on the ring has every point that this process recorded; null before the first. */
  #completeFromNs: bigint | null = null;
  /** At or before this time there are values of another unit than the newest. */
  #otherUnitNs = never;

  constructor(
    /** Whose points these are, within an app. */
    readonly metricType: string,
    capacity: number,
    memory: PointMemory,
  ) {
    this.#capacity = atLeastOne(capacity);
    this.#memory = memory;
  }

  get size(): number {
    return this.#size;
  }

  get unit(): string {
    return this.#unit ?? '';
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Memory of the points, for tests and measurements. */
  get byteLength(): number {
    return this.#allocated * cellsPerPoint * BigInt64Array.BYTES_PER_ELEMENT;
  }

  timestampAt(age: number): bigint {
    return timestampIn(this.#cellOf(age, 0));
  }

  valueAt(age: number): bigint | null {
    return this.#cellOf(age, 0) < 0n ? null : this.#cellOf(age, 1);
  }

  /**
   * Adds the newest point; false if it cannot be held (negative timestamp, or anything beyond int64).
   *
   * A timestamp at or before the newest one means that the wall clock went back. The points from then on are dropped:
   * kept, they would count as newest until the clock has caught up, and rules would judge an app by them alone.
   */
  append(timestampNs: bigint, value: bigint | null, unit: string): boolean {
    if (!canHold(timestampNs, value)) return false;
    if (this.#size > 0 && timestampNs <= this.timestampAt(0)) this.#dropFrom(timestampNs);
    if (value !== null && unit !== this.#unit) {
      if (this.#unit !== null && this.#size > 0) this.#otherUnitNs = this.timestampAt(0);
      this.#unit = unit;
    }
    if (this.#size === this.#capacity) {
      this.#start = (this.#start + 1) % this.#allocated;
      this.#size--;
    } else if (this.#size === this.#allocated) {
      this.#rebuild(this.#size + 1, this.#size);
    }
    this.#size++;
    this.#write(0, timestampNs, value);
    this.#completeFromNs ??= timestampNs;
    return true;
  }

  /**
   * Puts points read from the database, in any order, before those the ring already has, as far as there is room.
   * What is not older than the oldest point here is left out: it is a copy of what was recorded meanwhile, or
   * another member's view of the same time.
   */
  seed(points: readonly AppMetric[]): void {
    const oldestNs = this.#size > 0 ? this.timestampAt(this.#size - 1) : null;
    const older = points
      .filter((point) => canHold(point.timestampNs, point.value))
      .filter((point) => oldestNs === null || point.timestampNs < oldestNs)
      .sort((a, b) => (a.timestampNs < b.timestampNs ? 1 : a.timestampNs > b.timestampNs ? -1 : 0))
      .filter((point, i, sorted) => point.timestampNs !== sorted[i - 1]?.timestampNs)
      .slice(0, this.#capacity - this.#size);
    if (older.length === 0) return;

    const live = this.#size;
    this.#rebuild(live + older.length, live, older.length);
    for (const [i, point] of older.entries()) this.#write(live + i, point.timestampNs, point.value);
    this.#unit ??= older.find((point) => point.value !== null)?.unit ?? null;
  }

  /** Changes how many points are kept; the oldest go first. */
  resize(capacity: number): void {
    this.#capacity = atLeastOne(capacity);
    if (this.#allocated <= this.#capacity) return;
    const kept = Math.min(this.#size, this.#capacity);
    this.#rebuild(kept, kept);
  }

  /** Gives the memory back. The ring is empty then. */
  release(): void {
    this.#slab.giveBack(this.#block);
    this.#slab = noSlab;
    this.#start = this.#size = 0;
  }

  /**
   * Whether the ring has every app metric from startNs on that the database may have, all values in one unit.
   * Seeded points do not count: the previous owner's last rows may have been written after they were read.
   * After a wall clock that went back nothing up to the newest dropped point counts: the database has those rows.
   */
  coversFrom(startNs: bigint): boolean {
    return (
      this.#completeFromNs !== null &&
      this.#size > 0 &&
      startNs >= this.#completeFromNs &&
      startNs >= this.timestampAt(this.#size - 1) &&
      startNs > this.#otherUnitNs
    );
  }

  get #allocated(): number {
    return this.#slab.blockPoints;
  }

  /** A block for `points` points: `room` free ones at the old end, then the newest `kept` of the present ones. */
  #rebuild(points: number, kept: number, room = 0): void {
    const slab = this.#memory.slabFor(blockSize(points, this.#capacity));
    const block = slab.take();
    for (let age = 0; age < kept; age++) {
      const at = block + cellsPerPoint * (room + kept - 1 - age);
      slab.cells[at] = this.#cellOf(age, 0);
      slab.cells[at + 1] = this.#cellOf(age, 1);
    }
    this.#slab.giveBack(this.#block);
    this.#slab = slab;
    this.#block = block;
    this.#start = 0;
    this.#size = room + kept;
  }

  #indexOf(age: number): number {
    return this.#block + cellsPerPoint * ((this.#start + this.#size - 1 - age) % this.#allocated);
  }

  #cellOf(age: number, half: 0 | 1): bigint {
    const cell = age >= 0 && age < this.#size ? this.#slab.cells[this.#indexOf(age) + half] : undefined;
    if (cell === undefined) throw new RangeError(`no point of age ${age} among ${this.#size}`);
    return cell;
  }

  #write(age: number, timestampNs: bigint, value: bigint | null): void {
    const index = this.#indexOf(age);
    this.#slab.cells[index] = value === null ? ~timestampNs : timestampNs;
    this.#slab.cells[index + 1] = value ?? 0n;
  }

  #dropFrom(timestampNs: bigint): void {
    this.#completeFromNs = this.timestampAt(0) + 1n;
    while (this.#size > 0 && this.timestampAt(0) >= timestampNs) this.#size--;
  }
}

function canHold(timestampNs: bigint, value: bigint | null): boolean {
  return timestampNs >= 0n && isInt64(timestampNs) && (value === null || isInt64(value));
}

function atLeastOne(capacity: number): number {
  return Math.max(1, Math.floor(capacity));
}

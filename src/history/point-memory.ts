/** Two cells a point, see Ring. */
export const cellsPerPoint = 2;

/** 64 KiB: large against what a slab costs itself, small against what a half-used one wastes. */
const slabPoints = 4096;

/** Blocks grow by so many points at least, and by an eighth: a ring that grows has few empty cells and few copies. */
const growthPoints = 8;

/** The block to take for so many points: one of few sizes, but never larger than `most`. */
export function blockSize(points: number, most: number): number {
  let size = growthPoints;
  while (size < points) size += growthPoints * Math.ceil(size / growthPoints / 8);
  return Math.min(size, most);
}

/**
 * A piece of memory cut into blocks of one size. With a buffer of its own for each of a hundred thousand rings, what
 * comes around a buffer (objects, allocator, garbage collector) costs hundreds of bytes each.
 */
export class Slab {
  readonly cells: BigInt64Array;
  readonly #memory: PointMemory;
  readonly #blocks: number;
  /** First cells of blocks given back. */
  readonly #free: number[] = [];
  /** Blocks never taken so far begin here. */
  #fresh = 0;
  #used = 0;

  constructor(
    memory: PointMemory,
    readonly blockPoints: number,
  ) {
    this.#memory = memory;
    this.#blocks = Math.max(1, Math.floor(slabPoints / blockPoints));
    this.cells = new BigInt64Array(this.#blocks * blockPoints * cellsPerPoint);
  }

  get isFull(): boolean {
    return this.#used === this.#blocks;
  }

  get isEmpty(): boolean {
    return this.#used === 0;
  }

  /** The first cell of a block for the caller alone. Only while not full. */
  take(): number {
    const start = this.#free.pop() ?? this.#fresh++ * this.blockPoints * cellsPerPoint;
    this.#used++;
    this.#memory.changed(this);
    return start;
  }

  /** Takes a block back: whoever had it must not touch it any more. */
  giveBack(start: number): void {
    this.#free.push(start);
    this.#used--;
    this.#memory.changed(this);
  }
}

/** Where a block is, as far as its user needs to know. */
export type BlockSlab = Pick<Slab, 'cells' | 'blockPoints' | 'giveBack'>;

/** For who has no block yet. */
export const noSlab: BlockSlab = { cells: new BigInt64Array(0), blockPoints: 0, giveBack: () => {} };

/** Memory for the points of many rings, which shrinks with them: a slab that nobody uses is dropped. */
export class PointMemory {
  /** Those with room, by the size of their blocks; the longest known first, so that the others become empty. */
  readonly #withRoom = new Map<number, Set<Slab>>();
  #slabs = 0;

  /** A slab with room for one more block of so many points. */
  slabFor(blockPoints: number): Slab {
    for (const slab of this.#withRoom.get(blockPoints) ?? []) return slab;
    this.#slabs++;
    return new Slab(this, blockPoints);
  }

  /** Slabs in use, for tests and measurements. */
  get slabs(): number {
    return this.#slabs;
  }

  /** Called by a slab after a block of it was taken or given back. */
  changed(slab: Slab): void {
    const slabs = this.#withRoom.get(slab.blockPoints) ?? new Set();
    if (slab.isEmpty || slab.isFull) slabs.delete(slab);
    else slabs.add(slab);
    if (slab.isEmpty) this.#slabs--;
    if (slabs.size > 0) this.#withRoom.set(slab.blockPoints, slabs);
    else this.#withRoom.delete(slab.blockPoints);
  }
}

/**
 * Two cells a point: its timestamp, of which *no data* has the bitwise complement, and its value. So a value may
 * be any int64.
 */
export const cellsPerPoint = 2;

/** The timestamp of a point by its first cell. */
export function timestampIn(cell: bigint): bigint {
  return cell < 0n ? ~cell : cell;
}

/** 128 KiB: large against the part of a block that is left over at its end, small against what a half-used one wastes. */
const slabPoints = 8192;

/** Empty slabs that are kept to be used again, as a share of those in use. */
const spareShare = 1 / 16;

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
    /** Holds one block at least; whatever was written there before. */
    readonly cells: BigInt64Array,
  ) {
    this.#memory = memory;
    this.#blocks = Math.floor(cells.length / cellsPerPoint / blockPoints);
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

  /** Takes a block back: its user must not touch it any more. */
  giveBack(start: number): void {
    this.#free.push(start);
    this.#used--;
    this.#memory.changed(this);
  }
}

/** Where a block is, as far as its user needs to know. */
export type BlockSlab = Pick<Slab, 'cells' | 'blockPoints' | 'giveBack'>;

/** For a ring without a block. */
export const noSlab: BlockSlab = { cells: new BigInt64Array(0), blockPoints: 0, giveBack: () => {} };

/**
 * Memory for the points of many rings, which shrinks with them. Rings grow together, from blocks of one size to those of
 * the next: what becomes free serves again at once, because what goes through the garbage collector and the allocator
 * leaves a third more behind with the process.
 */
export class PointMemory {
  /** Those with room, by the size of their blocks; the longest known first, so that the others become empty. */
  readonly #withRoom = new Map<number, Set<Slab>>();
  readonly #spare: BigInt64Array[] = [];
  #slabs = 0;

  /** A slab with room for one more block of so many points. */
  slabFor(blockPoints: number): Slab {
    for (const slab of this.#withRoom.get(blockPoints) ?? []) return slab;
    this.#slabs++;
    const points = Math.max(slabPoints, blockPoints);
    const spare = points === slabPoints ? this.#spare.pop() : undefined;
    return new Slab(this, blockPoints, spare ?? new BigInt64Array(points * cellsPerPoint));
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
    if (slab.isEmpty) this.#drop(slab);
    if (slabs.size > 0) this.#withRoom.set(slab.blockPoints, slabs);
    else this.#withRoom.delete(slab.blockPoints);
  }

  #drop({ cells }: Slab): void {
    this.#slabs--;
    if (cells.length === slabPoints * cellsPerPoint) this.#spare.push(cells);
    while (this.#spare.length > Math.ceil(this.#slabs * spareShare)) this.#spare.pop();
  }
}

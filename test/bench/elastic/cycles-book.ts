import type { NotedReads } from './messages.js';

/** One collection of one app. */
export interface Cycle {
  readonly atMs: number;
  readonly member: number;
}

/** A stretch of wall-clock time, both ends included. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A time in which an app was not collected, and the cycles around it as far as there are any. */
export interface Gap {
  readonly app: number;
  readonly ms: number;
  readonly before: Cycle | undefined;
  readonly after: Cycle | undefined;
}

/** All cycles that the platform saw, by app. */
export class CyclesBook {
  /** Oldest first. */
  readonly #cycles: readonly Cycle[][];

  constructor(apps: number) {
    this.#cycles = Array.from({ length: apps }, () => []);
  }

  add({ apps, members, atMs }: NotedReads): void {
    for (const [i, app] of apps.entries()) {
      this.#cycles[app]?.push({ atMs: atMs[i] ?? NaN, member: members[i] ?? NaN });
    }
  }

  get apps(): number {
    return this.#cycles.length;
  }

  /** Who collected each app last, by app; undefined for one that was never collected. */
  ownersAt(atMs: number): (number | undefined)[] {
    return this.#cycles.map((cycles) => cycles.findLast((cycle) => cycle.atMs <= atMs)?.member);
  }

  /** Each app's cycles in the span, oldest first. */
  *within({ fromMs, toMs }: Span): Generator<readonly Cycle[]> {
    for (const cycles of this.#cycles) {
      const first = firstFrom(cycles, fromMs);
      let end = first;
      while ((cycles[end]?.atMs ?? Infinity) <= toMs) end++;
      yield cycles.slice(first, end);
    }
  }

  count(span: Span): number {
    let count = 0;
    for (const cycles of this.within(span)) count += cycles.length;
    return count;
  }

  /**
   * Cycles in the span that another member had done less than withinMs before. `uncounted` tells of cycles that are
   * left out, and of which neither is another's double.
   */
  doneTwice(
    { fromMs, toMs }: Span,
    withinMs: number,
    uncounted: (cycle: Cycle) => boolean = () => false,
  ): number {
    let twice = 0;
    for (const all of this.within({ fromMs: fromMs - withinMs, toMs })) {
      const cycles = all.filter((cycle) => !uncounted(cycle));
      for (const [i, cycle] of cycles.entries()) {
        if (cycle.atMs < fromMs) continue;
        const before = cycles.slice(0, i).filter((earlier) => cycle.atMs - earlier.atMs < withinMs);
        if (before.some((earlier) => earlier.member !== cycle.member)) twice++;
      }
    }
    return twice;
  }

  /** The longest time that any app was not collected, of which at least a part is in the span. */
  longestGap({ fromMs, toMs }: Span): Gap {
    let longest: Gap = { app: -1, ms: 0, before: undefined, after: undefined };
    for (const [app, cycles] of this.#cycles.entries()) {
      const first = firstFrom(cycles, fromMs);
      for (let i = first; (cycles[i - 1]?.atMs ?? fromMs) < toMs; i++) {
        const [before, after] = [cycles[i - 1], cycles[i]];
        const ms = Math.min(after?.atMs ?? toMs, toMs) - (before?.atMs ?? fromMs);
        if (ms > longest.ms) longest = { app, ms, before, after };
        if (!after) break;
      }
    }
    return longest;
  }

  /** From span.fromMs until each app was collected by its owner at span.toMs; ms, of the last app. */
  collectedByOwnerMs({ fromMs, toMs }: Span): number {
    const owners = this.ownersAt(toMs);
    let last = 0;
    for (const [app, cycles] of this.#cycles.entries()) {
      const own = cycles.find((cycle) => cycle.atMs >= fromMs && cycle.member === owners[app]);
      last = Math.max(last, (own?.atMs ?? Infinity) - fromMs);
    }
    return last;
  }

  /** Whether in the span each app was collected twice, by one of these members alone, and each of them had apps. */
  isSettled(span: Span, members: ReadonlySet<number>): boolean {
    const seen = new Set<number>();
    for (const cycles of this.within(span)) {
      const [first, second] = cycles;
      if (!first || !second || cycles.some(({ member }) => member !== first.member)) return false;
      seen.add(first.member);
    }
    return seen.size === members.size && [...seen].every((member) => members.has(member));
  }
}

/** Share of apps that have another owner than before. */
export function movedShare(
  before: readonly (number | undefined)[],
  after: readonly (number | undefined)[],
): number {
  return before.filter((owner, app) => owner !== after[app]).length / before.length;
}

/** Index of the first cycle at or after a time. */
function firstFrom(cycles: readonly Cycle[], fromMs: number): number {
  let low = 0;
  let high = cycles.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cycles[middle]?.atMs ?? Infinity) < fromMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

import type { NotedReads } from './messages.js';

/** One collection of one app. */
export interface Round {
  readonly atMs: number;
  readonly member: number;
}

/** A stretch of wall-clock time, both ends included. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A time in which an app was not collected, and the rounds around it as far as there are any. */
export interface Gap {
  readonly app: number;
  readonly ms: number;
  readonly before: Round | undefined;
  readonly after: Round | undefined;
}

/** All rounds that the platform saw, by app. */
export class RoundsBook {
  /** Oldest first. */
  readonly #rounds: readonly Round[][];

  constructor(apps: number) {
    this.#rounds = Array.from({ length: apps }, () => []);
  }

  add({ apps, members, atMs }: NotedReads): void {
    for (const [i, app] of apps.entries()) {
      this.#rounds[app]?.push({ atMs: atMs[i] ?? NaN, member: members[i] ?? NaN });
    }
  }

  get apps(): number {
    return this.#rounds.length;
  }

  /** Who collected each app last, by app; undefined for one that was never collected. */
  ownersAt(atMs: number): (number | undefined)[] {
    return this.#rounds.map((rounds) => rounds.findLast((round) => round.atMs <= atMs)?.member);
  }

  /** Each app's rounds in the span, oldest first. */
  *within({ fromMs, toMs }: Span): Generator<readonly Round[]> {
    for (const rounds of this.#rounds) {
      const first = firstFrom(rounds, fromMs);
      let end = first;
      while ((rounds[end]?.atMs ?? Infinity) <= toMs) end++;
      yield rounds.slice(first, end);
    }
  }

  count(span: Span): number {
    let count = 0;
    for (const rounds of this.within(span)) count += rounds.length;
    return count;
  }

  /**
   * Rounds in the span that another member had done less than withinMs before. `uncounted` tells of rounds that are
   * left out, and of which neither is another's double.
   */
  doneTwice(
    { fromMs, toMs }: Span,
    withinMs: number,
    uncounted: (round: Round) => boolean = () => false,
  ): number {
    let twice = 0;
    for (const all of this.within({ fromMs: fromMs - withinMs, toMs })) {
      const rounds = all.filter((round) => !uncounted(round));
      for (const [i, round] of rounds.entries()) {
        if (round.atMs < fromMs) continue;
        const before = rounds.slice(0, i).filter((earlier) => round.atMs - earlier.atMs < withinMs);
        if (before.some((earlier) => earlier.member !== round.member)) twice++;
      }
    }
    return twice;
  }

  /** The longest time that any app was not collected, of which at least a part is in the span. */
  longestGap({ fromMs, toMs }: Span): Gap {
    let longest: Gap = { app: -1, ms: 0, before: undefined, after: undefined };
    for (const [app, rounds] of this.#rounds.entries()) {
      const first = firstFrom(rounds, fromMs);
      for (let i = first; (rounds[i - 1]?.atMs ?? fromMs) < toMs; i++) {
        const [before, after] = [rounds[i - 1], rounds[i]];
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
    for (const [app, rounds] of this.#rounds.entries()) {
      const own = rounds.find((round) => round.atMs >= fromMs && round.member === owners[app]);
      last = Math.max(last, (own?.atMs ?? Infinity) - fromMs);
    }
    return last;
  }

  /** Whether in the span each app was collected twice, by one of these members alone, and each of them had apps. */
  isSettled(span: Span, members: ReadonlySet<number>): boolean {
    const seen = new Set<number>();
    for (const rounds of this.within(span)) {
      const [first, second] = rounds;
      if (!first || !second || rounds.some(({ member }) => member !== first.member)) return false;
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

/** Index of the first round at or after a time. */
function firstFrom(rounds: readonly Round[], fromMs: number): number {
  let low = 0;
  let high = rounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rounds[middle]?.atMs ?? Infinity) < fromMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

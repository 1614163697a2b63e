import type { Span } from './coverage.js';
import type { Recording } from './recording.js';

/** Values of the acting fleet and of the observers about the same time; null is *no data*. */
export interface ValuePair {
  readonly atMs: number;
  readonly theirs: bigint | null;
  readonly ours: bigint | null;
}

export interface ValueComparison {
  readonly metricType: string;
  /** App metrics of each in the time. */
  readonly theirs: number;
  readonly ours: number;
  /** Relative, 0 to 1; null where no two values could be compared. */
  readonly median: number | null;
  readonly largest: number | null;
  /** Of the values that could be compared: 0 to 1. */
  readonly shareAboveTenth: number;
  /** The same without those that are one off, which rounding makes of every fraction. */
  readonly shareDiffering: number;
  /** Pairs in which only one is *no data*: of all pairs, 0 to 1. */
  readonly shareWithoutData: number;
  /** Of all pairs: those of them in which the other is 0. */
  readonly shareAgainstZero: number;
  /** Pairs in which theirs is one more. Of all pairs, 0 to 1. */
  readonly shareOneMore: number;
  /** The first pair that differs by more than a tenth, or of which only one has data; else the first that is one off. */
  readonly first: ValuePair | null;
}

/** Relative difference above which values differ. */
const tenth = 0.1;

/**
 * Compares two recordings of one metric type. The fleets do not collect at the same moments. So a value is compared with
 * those of the other fleet right before and after it: it differs by as much as it lies outside of what is between them.
 */
export function compareValues(
  theirs: Recording,
  ours: Recording,
  span: Span,
  longestDistanceMs: number,
): ValueComparison {
  const tally = new Tally();
  const [from, to] = [ours.firstFrom(span.fromMs), ours.firstFrom(span.toMs + 1)];
  const [times, values] = [theirs.ms, theirs.numbers];
  let next = theirs.firstFrom(span.fromMs);
  for (let index = from; index < to; index++) {
    const atMs = ours.ms[index] ?? NaN;
    while ((times[next] ?? Infinity) < atMs) next++;
    const beforeMs = atMs - (times[next - 1] ?? -Infinity);
    const afterMs = (times[next] ?? Infinity) - atMs;
    if (Math.min(beforeMs, afterMs) > longestDistanceMs) continue;
    const nearest = beforeMs <= afterMs ? next - 1 : next;
    // An end of the recording, or of a part of it, has one neighbour.
    const before = beforeMs <= longestDistanceMs ? next - 1 : nearest;
    const after = afterMs <= longestDistanceMs ? next : nearest;
    const kind = tally.add(ours.numbers[index] ?? NaN, values[before] ?? NaN, values[after] ?? NaN);
    if (kind !== 'alike') {
      tally.remember(kind, () => ({ atMs, theirs: theirs.valueAt(nearest), ours: ours.valueAt(index) }));
    }
  }
  const inSpan = theirs.firstFrom(span.toMs + 1) - theirs.firstFrom(span.fromMs);
  return { metricType: ours.metricType, theirs: inSpan, ours: to - from, ...tally.result() };
}

class Tally {
  readonly #differences: number[] = [];
  #pairs = 0;
  #differing = 0;
  #withoutData = 0;
  #againstZero = 0;
  #oneMore = 0;
  #first: ValuePair | null = null;
  #firstOneMore: ValuePair | null = null;

  /** NaN is *no data*. */
  add(own: number, before: number, after: number): 'alike' | 'different' | 'one-more' {
    this.#pairs++;
    const min = Number.isNaN(before) ? after : Number.isNaN(after) ? before : Math.min(before, after);
    if (Number.isNaN(own) || Number.isNaN(min)) return this.#addWithoutData(own, before, after);
    const max = Number.isNaN(before) ? after : Number.isNaN(after) ? before : Math.max(before, after);
    const edge = own < min ? min : own > max ? max : own;
    const difference = edge === own ? 0 : Math.abs(edge - own) / Math.max(Math.abs(edge), Math.abs(own));
    this.#differences.push(difference);
    const isOneMore = min === own + 1 && max === min;
    if (isOneMore) this.#oneMore++;
    if (difference > tenth && Math.abs(edge - own) > 1) {
      this.#differing++;
      return 'different';
    }
    return isOneMore ? 'one-more' : 'alike';
  }

  remember(kind: 'different' | 'one-more', pair: () => ValuePair): void {
    if (kind === 'different') this.#first ??= pair();
    else this.#firstOneMore ??= pair();
  }

  /** Where only one neighbour is without data, a time without data begins or ends there. */
  #addWithoutData(own: number, before: number, after: number): 'alike' | 'different' {
    const isEdge = Number.isNaN(before) !== Number.isNaN(after);
    const other = before;
    if (isEdge || Number.isNaN(own) === Number.isNaN(other)) return 'alike';
    this.#withoutData++;
    if (own === 0 || other === 0) this.#againstZero++;
    return 'different';
  }

  result(): Omit<ValueComparison, 'metricType' | 'theirs' | 'ours'> {
    const sorted = Float64Array.from(this.#differences).sort();
    const share = (count: number, of: number) => (of === 0 ? 0 : count / of);
    return {
      median: sorted[Math.floor(sorted.length / 2)] ?? null,
      largest: sorted.at(-1) ?? null,
      shareAboveTenth: share(sorted.filter((each) => each > tenth).length, sorted.length),
      shareDiffering: share(this.#differing, sorted.length),
      shareWithoutData: share(this.#withoutData, this.#pairs),
      shareAgainstZero: share(this.#againstZero, this.#pairs),
      shareOneMore: share(this.#oneMore, this.#pairs),
      first: this.#first ?? this.#firstOneMore,
    };
  }
}

/** One sort of thing that must not be. */
export interface Finding {
  /** What was held against the books, in one line. */
  readonly name: string;
  readonly count: number;
  readonly atMost: number;
  /** The first few, for who looks for the cause. */
  readonly examples: readonly string[];
}

const shown = 5;

export function finding(name: string, found: readonly string[], atMost = 0): Finding {
  return { name, count: found.length, atMost, examples: found.slice(0, shown) };
}

/** A measured value with a bound. */
export function measured(
  name: string,
  count: number,
  atMost: number,
  examples: readonly string[] = [],
): Finding {
  return { name, count, atMost, examples: examples.slice(0, shown) };
}

export function isGood({ count, atMost }: Finding): boolean {
  return count <= atMost;
}

export function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}

import type { Transport } from '../platform/eventgenerator-config.js';

/** One row of the table in docs/performance.md: something measured that can be repeated with one command. */
export interface Benchmark {
  readonly name: string;
  /** One line for --help. */
  readonly describe: string;
  run(context: BenchmarkContext): Promise<BenchmarkResult>;
}

export interface BenchmarkContext {
  /** Smaller sizes, for trying: the figures are those of another, easier task and are not held against targets. */
  readonly quick: boolean;
  /** How log-cache is read, where a benchmark has both ways. */
  readonly transport: Transport;
  /** Says on standard error what is going on. */
  progress(text: string): void;
  /** What several benchmarks of one invocation need and is expensive: made once, for the first that asks. */
  shared<T>(key: string, make: () => Promise<T>): Promise<T>;
  /** To be called after the last benchmark, in reverse order, also after a failure or a signal. */
  releaseAtEnd(release: () => Promise<void>): void;
}

export interface BenchmarkResult {
  readonly figures: readonly Figure[];
  /** Things that happened one after the other, each judged and reported by itself. */
  readonly events?: readonly BenchmarkEvent[];
}

export interface BenchmarkEvent {
  readonly name: string;
  readonly secs: number;
  readonly outcome: { readonly figures: readonly Figure[] } | { readonly error: string };
}

export interface Figure {
  /** Key of the JSON line, with the unit at its end where there is one: `lag_p99_ms_50000`. */
  readonly name: string;
  readonly value: number;
  /** What it has to reach; absent for figures that only inform. */
  readonly target?: Target;
}

export type Target = { readonly atMost: number } | { readonly atLeast: number };

/** A figure that is not a number misses every target: it was not measured. */
export function reaches({ value, target }: Figure): boolean {
  if (target === undefined) return true;
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
}

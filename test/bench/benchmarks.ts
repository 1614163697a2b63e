import type { Benchmark } from './benchmark.js';
import { scale } from './scale.js';

/** All benchmarks, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [scale];

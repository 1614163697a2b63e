/**
 * What the samples of one app and metric type in one stat window aggregate to.
 * `value: null` is *no data*: nothing was measured. It is not zero, and it is not a failed fetch (which is never stored).
 */
export interface AppMetric {
  readonly appId: string;
  readonly metricType: string;
  /** int64, or null for *no data*. */
  readonly value: bigint | null;
  /** `MB`, `%`, `rps`, `ms` or a custom metric's own unit; empty for *no data*. */
  readonly unit: string;
  /** End of the stat window in ns since the epoch. */
  readonly timestampNs: bigint;
}

/** Says whether an app is this process's to collect and evaluate. That may change at any time. */
export interface Ownership {
  owns(appId: string): boolean;
  /** Whether this process may work on apps at all, for the readiness endpoint. */
  isUp(): boolean;
  /** The listener is called after `owns` may have changed. */
  onChange(listener: (change: OwnershipChange) => void): void;
}

/** When ownership changed. Monotonic ms, in the past where a busy process is late. */
export interface OwnershipChange {
  /** Apps gained have been ours since then. */
  readonly sinceMs: number;
  /** Apps lost were ours until then: cycles that were due before are still ours to run. -Infinity for none. */
  readonly untilMs: number;
}

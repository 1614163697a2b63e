/** Says whether an app is this process's to collect and evaluate. That may change at any time. */
export interface Ownership {
  owns(appId: string): boolean;
  /**
   * Since when an app of ours has been ours without a break; null if nobody else can have had it before. Monotonic ms,
   * in the past where a busy process was late to notice.
   */
  ownedSinceMs(appId: string): number | null;
  /** Whether this process may work on apps at all, for the readiness endpoint. */
  isUp(): boolean;
  /** The listener is called after `owns` may have changed. */
  onChange(listener: (change: OwnershipChange) => void): void;
}

/** What listeners are told when `owns` may have changed. */
export interface OwnershipChange {
  /** Monotonic ms. Apps lost were ours until then: cycles that were due before are still ours to run. -Infinity for none. */
  readonly untilMs: number;
}

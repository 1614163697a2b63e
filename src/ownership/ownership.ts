/** Answers the question "is this app mine to collect and evaluate?" The answer may change at any time. */
export interface Ownership {
  owns(appId: string): boolean;
  /** Whether this process may work on apps at all, for the readiness endpoint. */
  isUp(): boolean;
  /** The listener is called after answers may have changed. */
  onChange(listener: (change: OwnershipChange) => void): void;
}

/** When answers changed. Monotonic ms, in the past where a busy process comes late to it. */
export interface OwnershipChange {
  /** Apps gained have been ours since then. */
  readonly sinceMs: number;
  /** Apps lost were ours until then: cycles that were due before are still ours to make. -Infinity for none. */
  readonly untilMs: number;
}

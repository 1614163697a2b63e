/** Answers the question "is this app mine to collect and evaluate?" The answer may change at any time. */
export interface Ownership {
  owns(appId: string): boolean;
  /** Whether this process may work on apps at all, for the readiness endpoint. */
  isUp(): boolean;
  /** The listener is called after answers may have changed, with the monotonic ms since when they have been so. */
  onChange(listener: (sinceMs: number) => void): void;
}

/**
 * A breaker that stands between an app and the scaling engine: the app's own, or the one that all apps of its owner share.
 * Times are wall-clock ms.
 */
export interface OpenBreaker {
  readonly scope: 'app' | 'all';
  /** When it opened; it has not closed since. */
  readonly sinceMs: number;
  /** Open until then; from then on half open: one trigger is posted to find out whether the scaling engine takes it. */
  readonly untilMs: number;
}

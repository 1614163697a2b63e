/** Not more often than this is a token refreshed because log-cache refused it. */
const FIRST_PAUSE_MS = 10_000;
/** The pause while refreshing never helps: a forbidden app must not cost UAA more than this. */
const MAX_PAUSE_MS = 600_000;
/** A token that log-cache accepted for so long was good, so its refusal is news. */
const PROVEN_MS = 600_000;

/**
 * When a refused token may be refreshed. log-cache answers the same to a stale token and to a forbidden app; the
 * difference shows only in whether a fresh token is refused, too. Pure; all times are monotonic ms.
 */
export class RejectionPause {
  #pauseMs = FIRST_PAUSE_MS;
  #allowedAtMs = -Infinity;
  #obtainedMs = 0;
  /** The token in use was refused before. */
  #refusedBefore = false;
  /** The token in use replaced a refused one and was refused soon as well. */
  #didNotHelp = false;
  #isReplacement = false;
  #replacing = false;

  /** A token came into use. */
  obtained(nowMs: number): void {
    this.#obtainedMs = nowMs;
    this.#isReplacement = this.#replacing;
    this.#replacing = false;
    this.#refusedBefore = false;
    this.#didNotHelp = false;
  }

  /** The token in use was refused; returns whether to refresh it now, and counts that as done. */
  refused(nowMs: number): boolean {
    if (!this.#refusedBefore) {
      this.#refusedBefore = true;
      const proven = nowMs - this.#obtainedMs >= PROVEN_MS;
      if (proven) this.#pauseMs = FIRST_PAUSE_MS;
      this.#didNotHelp = this.#isReplacement && !proven;
    }
    if (nowMs < this.#allowedAtMs) return false;
    if (this.#didNotHelp) this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
    this.#allowedAtMs = nowMs + this.#pauseMs;
    this.#replacing = true;
    return true;
  }
}

/** Not more often than this is a token refreshed because log-cache refused it. */
const FIRST_PAUSE_MS = 10_000;
/** The longest pause while no app is served: so soon after the trouble has ended, whatever it was, all are served. */
const MAX_PAUSE_MS = 30_000;
/** The longest pause of an app that is refused while others are served: forbidden apps must not cost UAA more. */
const MAX_APP_PAUSE_MS = 600_000;
/** For so long it counts that the token served some app: longer than any usual collection interval. */
const WITNESS_MS = 120_000;
/** Those refused the longest ago are forgotten, at the price of a refresh. */
const MAX_APPS = 10_000;

interface RefusedApp {
  /** The newest token that the app was refused with. */
  token: number;
  pauseMs: number;
  untilMs: number;
}

/**
 * When a refused token may be refreshed. log-cache answers the same to a stale token and to a forbidden app. What tells
 * them apart is whether the token serves other apps: then the refusal is news once, and after a newer token was refused
 * too it is the app's own trouble, for ever longer. Where the token serves nobody, no app has a pause of its own.
 * Pure; all times are monotonic ms.
 */
export class RejectionPause {
  #pauseMs = FIRST_PAUSE_MS;
  #refreshedAtMs = -Infinity;
  /** Counts the tokens. */
  #token = 0;
  /** When the token in use last served an app. */
  #servedAtMs = -Infinity;
  readonly #apps = new Map<string, RefusedApp>();

  /** A token came into use. */
  obtained(): void {
    this.#token++;
    this.#servedAtMs = -Infinity;
  }

  /** The token in use served these apps. */
  accepted(appIds: readonly string[], nowMs: number): void {
    this.#servedAtMs = nowMs;
    this.#pauseMs = FIRST_PAUSE_MS;
    if (this.#apps.size > 0) for (const appId of appIds) this.#apps.delete(appId);
  }

  /** The token in use was refused for these apps; returns whether to refresh it now, and counts that as done. */
  rejected(appIds: readonly string[], nowMs: number): boolean {
    const servesOthers = nowMs - this.#servedAtMs < WITNESS_MS;
    if (servesOthers && !this.#isNews(appIds, nowMs)) return false;
    if (nowMs < this.#refreshedAtMs + this.#pauseMs) return false;
    // The first refresh is no sign yet that refreshing does not help.
    const helpedNobody = this.#refreshedAtMs !== -Infinity && !servesOthers;
    if (helpedNobody) this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
    this.#refreshedAtMs = nowMs;
    return true;
  }

  /** Whether the refusal may be the token's fault although it has just served others. */
  #isNews(appIds: readonly string[], nowMs: number): boolean {
    const [appId] = appIds;
    // Of several apps that were refused together one may be the reason for all. They are asked alone then.
    if (appId === undefined || appIds.length > 1) return !appIds.some((id) => this.#apps.has(id));
    const app = this.#apps.get(appId);
    if (!app) {
      this.#remember(appId, nowMs);
      return true;
    }
    if (app.token !== this.#token) {
      app.token = this.#token;
      app.pauseMs = Math.min(app.pauseMs * 2, MAX_APP_PAUSE_MS);
      app.untilMs = nowMs + app.pauseMs;
      return false;
    }
    if (nowMs < app.untilMs) return false;
    app.untilMs = nowMs + app.pauseMs;
    return true;
  }

  #remember(appId: string, nowMs: number): void {
    const [oldest] = this.#apps.keys();
    if (oldest !== undefined && this.#apps.size >= MAX_APPS) this.#apps.delete(oldest);
    this.#apps.set(appId, {
      token: this.#token,
      pauseMs: FIRST_PAUSE_MS,
      untilMs: nowMs + FIRST_PAUSE_MS,
    });
  }
}

import { backOff } from '../util/back-off.js';

/** A token is not refreshed more often than this because log-cache rejected it. */
const firstPauseMs = 10_000;
/** The longest pause while no app is served. This soon after the cause has ended, all are served again. */
const maxPauseMs = 30_000;
/** The longest pause of an app that is rejected while others are served. It bounds what forbidden apps cost UAA. */
const maxAppPauseMs = 600_000;
/** How long it counts that the token served some app: longer than any usual collection interval. */
const servedRecentlyMs = 120_000;
/** Beyond this, the app that was rejected first is forgotten, at the price of a refresh. */
const maxApps = 10_000;

interface RejectedApp {
  /** The newest token that the app was rejected with. */
  token: number;
  /** With how many it was, one after the other. */
  tokens: number;
  untilMs: number;
}

/**
 * When a rejected token may be refreshed. log-cache answers the same to a stale token and to a forbidden app. What tells
 * them apart is whether the token serves other apps. If it does, the rejection is worth one refresh; once a newer token
 * was rejected too it is about the app, whose pause then doubles. If the token serves no app, no app has a pause of its
 * own. Pure; all times are monotonic ms.
 */
export class RejectionPause {
  /** Refreshes in a row that did not help. */
  #inVain = 0;
  #refreshedAtMs = -Infinity;
  /** Counts the tokens. */
  #token = 0;
  /** When the token in use last served an app. */
  #servedAtMs = -Infinity;
  readonly #apps = new Map<string, RejectedApp>();

  /** A token came into use. */
  obtained(): void {
    this.#token++;
    this.#servedAtMs = -Infinity;
  }

  /** The token in use served these apps. */
  accepted(appIds: readonly string[], nowMs: number): void {
    this.#servedAtMs = nowMs;
    this.#inVain = 0;
    if (this.#apps.size > 0) for (const appId of appIds) this.#apps.delete(appId);
  }

  /** The token in use was rejected for these apps. Returns whether to refresh it now, and counts that as done. */
  rejected(appIds: readonly string[], nowMs: number): boolean {
    const servesOthers = nowMs - this.#servedAtMs < servedRecentlyMs;
    if (servesOthers && !this.#isWorthRefresh(appIds, nowMs)) return false;
    const pauseMs = backOff(firstPauseMs, maxPauseMs, this.#inVain + 1);
    if (nowMs < this.#refreshedAtMs + pauseMs) return false;
    // The first refresh is no sign yet that refreshing does not help.
    const wasInVain = this.#refreshedAtMs !== -Infinity && !servesOthers;
    if (wasInVain) this.#inVain++;
    this.#refreshedAtMs = nowMs;
    return true;
  }

  /** Whether the token may be stale although it has just served others. */
  #isWorthRefresh(appIds: readonly string[], nowMs: number): boolean {
    const [appId] = appIds;
    // One of several apps that were rejected together may be the reason for all. They are asked alone then.
    if (appId === undefined || appIds.length > 1) return !appIds.some((id) => this.#apps.has(id));
    const app = this.#apps.get(appId);
    if (!app) {
      this.#remember(appId, nowMs);
      return true;
    }
    if (app.token !== this.#token) {
      app.token = this.#token;
      app.tokens++;
      app.untilMs = nowMs + backOff(firstPauseMs, maxAppPauseMs, app.tokens);
      return false;
    }
    if (nowMs < app.untilMs) return false;
    app.untilMs = nowMs + backOff(firstPauseMs, maxAppPauseMs, app.tokens);
    return true;
  }

  #remember(appId: string, nowMs: number): void {
    const [oldest] = this.#apps.keys();
    if (oldest !== undefined && this.#apps.size >= maxApps) this.#apps.delete(oldest);
    this.#apps.set(appId, { token: this.#token, tokens: 1, untilMs: nowMs + firstPauseMs });
  }
}

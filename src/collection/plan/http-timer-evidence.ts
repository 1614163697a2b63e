import { type Clock, secsToNs } from '../../util/clock.js';
import type { Logger } from '../../observability/logger.js';
import type { Metrics } from '../../observability/metrics.js';
import { RepeatedEvents } from '../../observability/repeated-events.js';
import { type Failed, type HttpWindow, isHttpMetricType } from '../pool/job.js';
import { ForgettingMap } from './forgetting-map.js';

/** Apps with recent traffic that it takes before silence says something about the platform. */
const fewestWitnesses = 3;
/** How long ago a witness may have had traffic, in http windows. */
const recentWindows = 3;
/** The same for an app without a zero since: it could not be collected, because of an outage or a restart. */
const recentSecs = 600;
/** Apps asked at first; the others are asked only if none of these has traffic. */
const askedAtFirst = 9;
const mostAsked = 50;
const repeatErrorMs = 600_000;
const forgottenAfterSecs = 600;

/** Whether any of these apps had a request in the window in question, or why that could not be found out. */
export type AskForTraffic = (appIds: readonly string[]) => Promise<boolean | Failed>;

interface Known {
  /** End of the last window with a request, seconds since the epoch; -1 without one. */
  trafficSecs: number;
  /** Its last http app metric was a zero. */
  isIdle: boolean;
  /** Infinity before there was a cycle. */
  firstCycleSecs: number;
  lastCycleSecs: number;
}

export interface HttpEvidenceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'httpTimersMissing' | 'logLinesSuppressed'>;
  /** Whether the histories of all apps that are worked on have been seeded. */
  readonly historiesAreRead: () => boolean;
}

/**
 * Tells whether there are http timers on the platform at all. If gorouter or its agents stop sending them, every app
 * looks idle. So an app that falls silent counts as idle only if another app has requests in the same window. A window
 * that ended earlier proves nothing: it may hold requests from before the timers stopped. An app that was idle already
 * needs less: another app has requests in a window that ended at most one window earlier.
 *
 * If too few apps had requests lately, nobody can tell, and silence counts as idleness. While histories are still being
 * read, it does not: any app may have had requests before.
 */
export class HttpTimerEvidence {
  readonly #apps = new ForgettingMap<Known>();
  readonly #errors: RepeatedEvents;
  /** End of the newest window with a request. */
  #trafficSecs = -1;
  /** End of the first window in which no app had a request; null while there are timers. */
  #missingSecs: number | null = null;
  /** End of the first window with a request after timers were missing. Windows that begin before it lack timers. */
  #seenAgainSecs = -1;
  #found: { readonly timeSecs: number; readonly witnesses: readonly string[] } | null = null;
  #asking: { readonly timeSecs: number; readonly response: Promise<boolean | Failed> } | null = null;
  #saidTooFew = false;

  constructor(private readonly options: HttpEvidenceOptions) {
    this.#errors = new RepeatedEvents({ ...options, lineIntervalMs: repeatErrorMs });
    options.metrics.httpTimersMissing.set(0);
  }

  /**
   * Takes over what an app's points, oldest first, tell about requests before the first cycle here. null is *no data*.
   */
  seed(
    appId: string,
    metricType: string,
    points: readonly { readonly timestampNs: bigint; readonly value: bigint | null }[],
  ): void {
    const known = this.#apps.get(appId);
    if (!isHttpMetricType(metricType) || (known && (known.trafficSecs >= 0 || known.isIdle))) return;
    const firstCycleSecs = known?.firstCycleSecs ?? Infinity;
    const secsOf = (timestampNs: bigint) => Number(timestampNs / secsToNs(1));
    const last = points.findLast(({ timestampNs }) => secsOf(timestampNs) < firstCycleSecs);
    if (!last) return;
    const secs = secsOf(last.timestampNs);
    // After *no data* the app may have had requests: missing timers may have been the reason.
    const isIdle = last.value === 0n;
    const lastCycleSecs = known?.lastCycleSecs ?? secs;
    this.#apps.set(appId, { trafficSecs: isIdle ? -1 : secs, isIdle, firstCycleSecs, lastCycleSecs });
  }

  /** An app had requests in a window. */
  traffic(window: HttpWindow): void {
    this.#forgetFuture(window);
    const { appId, timeSecs } = window;
    const known = this.#knownOf(appId, timeSecs);
    known.trafficSecs = timeSecs;
    known.isIdle = false;
    if (timeSecs > this.#trafficSecs) this.#trafficSecs = timeSecs;
    if (this.#missingSecs !== null && timeSecs > this.#missingSecs) this.#seenAgain(timeSecs);
  }

  /** Whether all timers of a window are there, as far as other apps tell. */
  isWhole({ timeSecs, windowSecs }: HttpWindow): boolean {
    if (this.#missingSecs !== null) return this.#stillMissing();
    return timeSecs - windowSecs >= this.#seenAgainSecs;
  }

  /** Whether an app that had no request in a window really had none, or why that could not be found out. */
  async isIdle(window: HttpWindow, ask: AskForTraffic): Promise<boolean | Failed> {
    this.#forgetFuture(window);
    const { appId, timeSecs, windowSecs } = window;
    const known = this.#knownOf(appId, timeSecs);
    if (!this.isWhole(window)) return false;
    const sinceSecs = known.isIdle ? timeSecs - windowSecs : timeSecs;
    if (this.#trafficSecs >= sinceSecs) return this.#idle(known);
    const witnesses = this.#witnessesOf(window);
    if (witnesses.length < fewestWitnesses) {
      if (!this.options.historiesAreRead()) return false;
      if (known.trafficSecs >= 0 && !known.isIdle) this.#sayTooFew(witnesses.length);
      return this.#idle(known);
    }
    this.#saidTooFew = false;
    const seen = await this.#ask(witnesses, window, ask);
    if (typeof seen !== 'boolean') return seen;
    // Other cycles may have found requests in the meantime.
    if (seen || this.#trafficSecs >= timeSecs) return this.#idle(known);
    this.#missingSecs ??= timeSecs;
    this.options.metrics.httpTimersMissing.set(1);
    return this.#stillMissing();
  }

  /** Whether the app had requests, and no zero that counted since. */
  hadTraffic(appId: string): boolean {
    const known = this.#apps.get(appId);
    return known !== undefined && known.trafficSecs >= 0 && !known.isIdle;
  }

  /** Whether there are http timers, as far as that can be told. */
  isUp(): boolean {
    return this.#missingSecs === null;
  }

  #idle(known: Known): true {
    known.isIdle = true;
    return true;
  }

  /** Windows that end in the same second share the witnesses: to find them takes many milliseconds with many apps. */
  #witnessesOf(window: HttpWindow): readonly string[] {
    const { timeSecs } = window;
    if (this.#found?.timeSecs !== timeSecs)
      this.#found = { timeSecs, witnesses: this.#findWitnesses(window) };
    return this.#found.witnesses;
  }

  /** Apps that had requests recently, the most recent first. */
  #findWitnesses({ timeSecs, windowSecs }: HttpWindow): string[] {
    const sinceSecs = timeSecs - recentWindows * windowSecs;
    const sinceSecsUnlessIdle = Math.min(sinceSecs, timeSecs - recentSecs);
    return [...this.#apps]
      .filter(([, { trafficSecs, isIdle }]) => trafficSecs >= (isIdle ? sinceSecs : sinceSecsUnlessIdle))
      .sort(([, a], [, b]) => b.trafficSecs - a.trafficSecs)
      .slice(0, mostAsked)
      .map(([appId]) => appId);
  }

  /** Windows that end in the same second share the response. */
  #ask(witnesses: readonly string[], window: HttpWindow, ask: AskForTraffic): Promise<boolean | Failed> {
    if (this.#asking?.timeSecs === window.timeSecs) return this.#asking.response;
    const others = witnesses.filter((appId) => appId !== window.appId);
    const response = (async () => {
      const first = await ask(others.slice(0, askedAtFirst));
      if (first !== false || others.length <= askedAtFirst) return first;
      return ask(others.slice(askedAtFirst));
    })();
    this.#asking = { timeSecs: window.timeSecs, response };
    return response;
  }

  #stillMissing(): false {
    const error = new Error(
      'no app has an http timer any more, though several had requests: throughput and responsetime are no data until there are timers again. Look for what gorouter sends (its agents, enable_envelope_v1_metrics) and its way to log-cache',
    );
    this.#errors.error('http-timers-missing', error, { apps: this.#apps.size });
    return false;
  }

  #seenAgain(timeSecs: number): void {
    this.#seenAgainSecs = timeSecs;
    this.#missingSecs = null;
    this.options.metrics.httpTimersMissing.set(0);
    this.options.logger.info('http-timers-seen-again');
  }

  #sayTooFew(witnesses: number): void {
    if (this.#saidTooFew) return;
    this.#saidTooFew = true;
    this.options.logger.info('too-few-apps-to-miss-http-timers', {
      withRequests: witnesses,
      needed: fewestWitnesses,
    });
  }

  /** After a wall clock that went back, what was noted of times that are still to come says nothing. */
  #forgetFuture({ timeSecs, windowSecs }: HttpWindow): void {
    const latestSecs = timeSecs + recentWindows * windowSecs;
    if (this.#trafficSecs > latestSecs) this.#trafficSecs = -1;
    if (this.#seenAgainSecs > latestSecs) this.#seenAgainSecs = -1;
    if (this.#missingSecs !== null && this.#missingSecs > latestSecs) this.#missingSecs = timeSecs - 1;
  }

  #knownOf(appId: string, timeSecs: number): Known {
    this.#apps.sweep(timeSecs, ({ lastCycleSecs }) => timeSecs - lastCycleSecs >= forgottenAfterSecs);
    // Without witnesses nobody could tell that there are timers again.
    if (this.#missingSecs !== null && this.#apps.size < fewestWitnesses) this.#seenAgain(timeSecs);
    const unknown = { trafficSecs: -1, isIdle: false, firstCycleSecs: Infinity, lastCycleSecs: 0 };
    const known = this.#apps.get(appId) ?? unknown;
    if (known.firstCycleSecs === Infinity) known.firstCycleSecs = timeSecs;
    known.lastCycleSecs = timeSecs;
    this.#apps.set(appId, known);
    return known;
  }
}

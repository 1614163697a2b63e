import { type Clock, secsToNs } from '../../util/clock.js';
import type { Logger } from '../../observability/logger.js';
import type { Metrics } from '../../observability/metrics.js';
import { RepeatedEvents } from '../../observability/repeated-events.js';
import { type Failed, isHttpMetricType } from '../pool/job.js';

/** So many apps must have had traffic before silence says something about the platform. */
const fewestWitnesses = 3;
/** Collection windows that the traffic of a witness may lie back. */
const recentWindows = 3;
/** So many are asked at first; only if none of them has traffic, the others. */
const askedAtFirst = 9;
const mostAsked = 50;
const repeatErrorMs = 600_000;
const forgottenAfterSecs = 600;

/** One http window of one app. Whole seconds. */
export interface HttpWindow {
  readonly appId: string;
  readonly timeSecs: number;
  readonly windowSecs: number;
}

/** Whether any of these apps had a request in a window, or why that could not be found out. */
export type AskForTraffic = (appIds: readonly string[], window: HttpWindow) => Promise<boolean | Failed>;

/** An app metric of a history; null is *no data*. */
interface Point {
  readonly timestampNs: bigint;
  readonly value: bigint | null;
}

interface Known {
  /** End of the last window with a request, seconds since the epoch; -1 without one. */
  trafficSecs: number;
  /** Its last http app metric was a zero. */
  isIdle: boolean;
  seenSecs: number;
}

export interface HttpEvidenceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'httpTimersMissing' | 'logLinesSuppressed'>;
}

/**
 * Whether there are http timers on the platform at all. Where gorouter or its agents stop sending them, every app looks
 * idle. So an app that falls silent has no requests only if another one has some in that same window, unless there are too
 * few apps to tell. Windows that ended before the silence began still hold requests: only those that begin after it tell.
 */
export class HttpTimerEvidence {
  readonly #apps = new Map<string, Known>();
  readonly #options: HttpEvidenceOptions;
  readonly #errors: RepeatedEvents;
  /** End of the newest window with a request. */
  #trafficSecs = -1;
  /** End of the window in which nobody had a request any more; null while there are timers. */
  #missingSecs: number | null = null;
  /** End of the first window with a request after they were missing: what began before it is not whole. */
  #seenAgainSecs = -1;
  #asking: { readonly timeSecs: number; readonly answer: Promise<boolean | Failed> } | null = null;
  #saidTooFew = false;
  #sweptSecs = 0;

  constructor(options: HttpEvidenceOptions) {
    this.#options = options;
    this.#errors = new RepeatedEvents({ ...options, intervalMs: repeatErrorMs });
    options.metrics.httpTimersMissing.set(0);
  }

  /** Takes over what a history of an app knows of its requests. */
  seed(appId: string, metricType: string, points: readonly Point[]): void {
    const [first, ...others] = points;
    if (!first || !isHttpMetricType(metricType) || this.#apps.has(appId)) return;
    const { value, timestampNs } = others.reduce((a, b) => (b.timestampNs > a.timestampNs ? b : a), first);
    const secs = Number(timestampNs / secsToNs(1));
    // No data says that the app may have had requests: if its timers were missing, that was why.
    this.#apps.set(appId, { trafficSecs: value === 0n ? -1 : secs, isIdle: value === 0n, seenSecs: secs });
  }

  /** An app had requests in a window. */
  traffic({ appId, timeSecs }: HttpWindow): void {
    this.#sweep(timeSecs);
    const known = this.#knownOf(appId);
    known.seenSecs = known.trafficSecs = timeSecs;
    known.isIdle = false;
    if (timeSecs > this.#trafficSecs) this.#trafficSecs = timeSecs;
    if (this.#missingSecs !== null && timeSecs > this.#missingSecs) this.#seenAgain(timeSecs);
  }

  /** Whether the timers of a window are all there, as far as other apps' tell. */
  isWhole({ timeSecs, windowSecs }: HttpWindow): boolean {
    if (this.#missingSecs !== null) return this.#stillMissing();
    return timeSecs - windowSecs >= this.#seenAgainSecs;
  }

  /** Whether an app that had no request in a window really had none, or why that could not be found out. */
  async isIdle(window: HttpWindow, ask: AskForTraffic): Promise<boolean | Failed> {
    const { appId, timeSecs } = window;
    this.#sweep(timeSecs);
    const known = this.#knownOf(appId);
    known.seenSecs = timeSecs;
    if (!this.isWhole(window)) return false;
    if (known.isIdle || this.#trafficSecs >= timeSecs) return this.#idle(known);
    const witnesses = this.#witnesses(window);
    if (witnesses.length < fewestWitnesses) {
      if (known.trafficSecs >= 0) this.#sayTooFew(witnesses.length);
      return this.#idle(known);
    }
    this.#saidTooFew = false;
    const seen = await this.#ask(witnesses, window, ask);
    if (typeof seen !== 'boolean') return seen;
    if (seen) return this.#idle(known);
    this.#missingSecs ??= timeSecs;
    this.#options.metrics.httpTimersMissing.set(1);
    return this.#stillMissing();
  }

  /** Whether there are http timers, as far as that can be told. */
  isUp(): boolean {
    return this.#missingSecs === null;
  }

  #idle(known: Known): true {
    known.isIdle = true;
    return true;
  }

  /** Apps that had requests of late, the newest first. */
  #witnesses({ timeSecs, windowSecs }: HttpWindow): string[] {
    const sinceSecs = timeSecs - recentWindows * windowSecs;
    return [...this.#apps]
      .filter(([, { trafficSecs }]) => trafficSecs >= sinceSecs)
      .sort(([, a], [, b]) => b.trafficSecs - a.trafficSecs)
      .slice(0, mostAsked)
      .map(([appId]) => appId);
  }

  /** Those that ask about the same second share the answer. */
  #ask(witnesses: readonly string[], window: HttpWindow, ask: AskForTraffic): Promise<boolean | Failed> {
    if (this.#asking?.timeSecs === window.timeSecs) return this.#asking.answer;
    const others = witnesses.filter((appId) => appId !== window.appId);
    const answer = (async () => {
      const first = await ask(others.slice(0, askedAtFirst), window);
      if (first !== false || others.length <= askedAtFirst) return first;
      return ask(others.slice(askedAtFirst), window);
    })();
    this.#asking = { timeSecs: window.timeSecs, answer };
    return answer;
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
    this.#options.metrics.httpTimersMissing.set(0);
    this.#options.logger.info('http-timers-seen-again');
  }

  #sayTooFew(witnesses: number): void {
    if (this.#saidTooFew) return;
    this.#saidTooFew = true;
    this.#options.logger.info('too-few-apps-to-miss-http-timers', {
      withRequests: witnesses,
      needed: fewestWitnesses,
    });
  }

  #knownOf(appId: string): Known {
    let known = this.#apps.get(appId);
    if (!known) {
      known = { trafficSecs: -1, isIdle: false, seenSecs: this.#sweptSecs };
      this.#apps.set(appId, known);
    }
    return known;
  }

  /** Forgets the apps that had no cycle for long, and with the last of them what was said of all. */
  #sweep(timeSecs: number): void {
    if (timeSecs >= this.#sweptSecs && timeSecs < this.#sweptSecs + 60) return;
    this.#sweptSecs = timeSecs;
    for (const [appId, { seenSecs }] of this.#apps) {
      if (timeSecs - seenSecs >= forgottenAfterSecs) this.#apps.delete(appId);
    }
    if (this.#missingSecs !== null && this.#apps.size < fewestWitnesses) this.#seenAgain(timeSecs);
  }
}

import { backOff } from '../util/back-off.js';
import type { Config } from '../config/config.js';
import type { OpenBreaker } from '../evaluation/open-breaker.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import { isoTime } from '../util/iso-time.js';
import type { TriggerFailure, TriggerResult } from './trigger-result.js';

/** How long the shared breaker opens first, and at most; doubles while probes fail. */
const sharedInitialMs = 2_000;
const sharedMaxMs = 30_000;

/** This many different apps that fail in a row, with no success between them, are an outage and no coincidence. */
const outageApps = 3;

/** An app whose probe failed leaves the next one to other apps for this long. */
const probeTurnMs = 2_000;

/** An app's back-off is up to this share longer than configured, so that apps that failed together do not return together. */
const jitter = 0.1;

/** Log lines about breakers of apps in a minute: an engine that rejects many apps opens thousands of them. */
const appLinesPerMinute = 20;

export type SharedState = 'closed' | 'half-open' | 'open';

/** Times are monotonic ms. Never changed in place, because the series of failures keeps what it may have to restore. */
interface AppBreaker {
  /** Since the last success. */
  readonly failures: number;
  /** When it opened first since then. */
  readonly openedAtMs: number;
  readonly openUntilMs: number;
}

const closedBreaker: AppBreaker = { failures: 0, openedAtMs: Infinity, openUntilMs: -Infinity };

interface SharedBreaker {
  /** What opened it, or kept it open last. */
  readonly cause: 'no-connection' | 'outage';
  /** In a row. */
  readonly openings: number;
  readonly openedAtMs: number;
  readonly untilMs: number;
  /** The app whose probe failed last: others are given the next one first. */
  readonly failedProbe: string | null;
}

type Failure = Extract<TriggerResult, { kind: 'failed' }>;

export interface BreakersOptions extends LogContext {
  readonly settings: Config['circuitBreaker'];
  /** 0 to 1; default Math.random. */
  readonly random?: () => number;
}

/**
 * Decides which app may post to the scaling engine after failures. An app's own breaker opens for minutes, the shared
 * one for seconds. Different apps that fail one after the other are the sign of an outage. Its failures are taken back,
 * for the reason in docs/decisions/0001-own-breakers.md.
 *
 * The order of calls is `deniedUntilMs`, `posting`, then `record` with the result, or `abandoned` if nothing was sent
 * after all.
 */
export class Breakers {
  readonly #sharedEvents: RepeatedEvents;
  readonly #appEvents: RepeatedEvents;
  readonly #apps = new Map<string, AppBreaker>();
  /** Different apps that failed as in an outage since the last success, each with its breaker before that. */
  readonly #series = new Map<string, AppBreaker>();
  #shared: SharedBreaker | null = null;
  #probe: string | null = null;

  constructor(private readonly options: BreakersOptions) {
    // Apart from those of apps, whose lines could use up the limit.
    this.#sharedEvents = new RepeatedEvents(options);
    this.#appEvents = new RepeatedEvents({ ...options, maxKeys: appLinesPerMinute });
  }

  /** Wall-clock ms when it is worth asking again; null if the app may post. */
  deniedUntilMs(appId: string): number | null {
    const nowMs = this.options.clock.monotonic();
    const openUntilMs = this.#apps.get(appId)?.openUntilMs ?? -Infinity;
    if (nowMs < openUntilMs) return this.#wallTime(openUntilMs);
    const shared = this.#shared;
    if (!shared) return null;
    if (nowMs < shared.untilMs) return this.#wallTime(shared.untilMs);
    if (this.#probe !== null) return this.#wallTime(nowMs + probeTurnMs);
    // An app that always fails must not be the only one that is ever asked whether the engine is back.
    const othersUntilMs = shared.untilMs + probeTurnMs;
    if (shared.failedProbe === appId && nowMs < othersUntilMs) return this.#wallTime(othersUntilMs);
    return null;
  }

  /** Right after deniedUntilMs allowed it: under a half-open shared breaker this post is the probe. */
  posting(appId: string): void {
    if (this.#shared) this.#probe = appId;
  }

  /** The post was not sent after all. */
  abandoned(appId: string): void {
    if (this.#probe === appId) this.#probe = null;
  }

  record(appId: string, result: TriggerResult): void {
    const wasClosed = this.#shared === null;
    const wasProbe = this.#probe === appId;
    this.abandoned(appId);
    if (result.kind === 'failed') this.#failed(appId, result, wasProbe);
    else this.#succeeded(appId);
    const isClosed = this.#shared === null;
    if (wasClosed === isClosed) return;
    this.#sharedEvents.info(isClosed ? 'shared-breaker-closed' : 'shared-breaker-opened');
  }

  /** A new policy may have repaired what the app was rejected for. */
  policyChanged(appId: string): void {
    this.#restore(appId, closedBreaker);
    if (this.#series.has(appId)) this.#series.set(appId, closedBreaker);
  }

  forget(appId: string): void {
    this.#apps.delete(appId); // first, so that no line says that its breaker closed
    this.policyChanged(appId);
  }

  /** Those that are not closed for an app. */
  openFor(appId: string): OpenBreaker[] {
    const app = this.#apps.get(appId);
    const shared = this.#shared;
    const open = (scope: OpenBreaker['scope'], openedAtMs: number, untilMs: number): OpenBreaker => ({
      scope,
      sinceMs: this.#wallTime(openedAtMs),
      untilMs: this.#wallTime(untilMs),
    });
    return [
      ...(app && app.openedAtMs !== Infinity ? [open('app', app.openedAtMs, app.openUntilMs)] : []),
      ...(shared ? [open('all', shared.openedAtMs, shared.untilMs)] : []),
    ];
  }

  /** Of the breaker that all apps share. */
  get sharedState(): SharedState {
    if (!this.#shared) return 'closed';
    return this.options.clock.monotonic() < this.#shared.untilMs ? 'open' : 'half-open';
  }

  /** For the metrics: looks through all apps that were rejected. */
  openApps(): number {
    const nowMs = this.options.clock.monotonic();
    return [...this.#apps.values()].filter(({ openUntilMs }) => nowMs < openUntilMs).length;
  }

  #succeeded(appId: string): void {
    this.#restore(appId, closedBreaker);
    this.#series.clear();
    this.#closeShared();
  }

  #failed(appId: string, failure: Failure, wasProbe: boolean): void {
    const { fault } = failure;
    if (this.#shared && wasProbe) {
      if (!endsOutage(fault, this.#shared.cause)) return this.#reopenShared(this.#shared, appId, fault);
      this.#closeShared();
    } else if (this.#shared && fault !== 'rejected') {
      return; // posted before the shared breaker opened, and failed for the same reason
    }
    if (fault === 'no-connection') return this.#openShared('no-connection');
    // A rejection is about this app, and so perhaps was its failure before. It is no sign of an outage.
    if (fault === 'rejected') this.#series.delete(appId);
    else if (!this.#series.has(appId)) this.#series.set(appId, this.#apps.get(appId) ?? closedBreaker);
    this.#countFailure(appId, failure);
    if (this.#series.size >= outageApps) this.#openShared('outage');
  }

  #countFailure(appId: string, failure: Failure): void {
    const { clock, settings, random = Math.random } = this.options;
    const { consecutiveFailureCount, backOffInitialIntervalMs, backOffMaxIntervalMs } = settings;
    const before = this.#apps.get(appId) ?? closedBreaker;
    const failures = before.failures + 1;
    if (failures < consecutiveFailureCount) {
      this.#apps.set(appId, { ...before, failures });
      return;
    }
    const openings = failures - Math.max(1, consecutiveFailureCount) + 1;
    const lengthMs = backOff(backOffInitialIntervalMs, backOffMaxIntervalMs, openings);
    const nowMs = clock.monotonic();
    const openUntilMs = nowMs + lengthMs * (1 + jitter * random());
    this.#apps.set(appId, { failures, openedAtMs: Math.min(before.openedAtMs, nowMs), openUntilMs });
    const { fault, message: cause } = failure;
    const facts = { appId, until: isoTime(this.#wallTime(openUntilMs)), failures, fault, cause };
    this.#appEvents.info('app-breaker-opened', facts, `opened ${appId}`);
  }

  /** An app's breaker as it was before. */
  #restore(appId: string, before: AppBreaker): void {
    const wasOpened = (this.#apps.get(appId) ?? closedBreaker).openUntilMs !== closedBreaker.openUntilMs;
    if (before === closedBreaker) this.#apps.delete(appId);
    else this.#apps.set(appId, before);
    if (wasOpened && before.openUntilMs === closedBreaker.openUntilMs) {
      this.#appEvents.info('app-breaker-closed', { appId }, `closed ${appId}`);
    }
  }

  #openShared(cause: SharedBreaker['cause']): void {
    for (const [appId, before] of this.#series) this.#restore(appId, before);
    this.#series.clear();
    const openedAtMs = this.options.clock.monotonic();
    const untilMs = openedAtMs + sharedInitialMs;
    this.#shared = { cause, openings: 1, openedAtMs, untilMs, failedProbe: null };
  }

  #reopenShared(shared: SharedBreaker, appId: string, fault: TriggerFailure): void {
    const openings = shared.openings + 1;
    const cause = fault === 'no-connection' ? 'no-connection' : shared.cause;
    const untilMs = this.options.clock.monotonic() + backOff(sharedInitialMs, sharedMaxMs, openings);
    this.#shared = { ...shared, cause, openings, untilMs, failedProbe: appId };
  }

  #closeShared(): void {
    this.#shared = null;
    this.#probe = null;
  }

  #wallTime(monotonicMs: number): number {
    return this.options.clock.now() + (monotonicMs - this.options.clock.monotonic());
  }
}

/**
 * Whether a probe that failed shows nevertheless that the shared breaker's cause is gone: a rejection comes from a
 * working engine, and any response shows that connections can be made again. Then the ordinary counting goes on.
 */
function endsOutage(failure: TriggerFailure, cause: SharedBreaker['cause']): boolean {
  if (failure === 'rejected') return true;
  return cause === 'no-connection' && (failure === 'unavailable' || failure === 'bad-answer');
}

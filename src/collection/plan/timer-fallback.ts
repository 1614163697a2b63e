import type { Clock } from '../../util/clock.js';
import type { Collector } from './authorized-collector.js';
import { noCost } from '../pool/cost.js';
import type { CollectionCost, CollectionResult, HttpOutcome, HttpWindow } from '../pool/job.js';
import type { HttpQuestion } from './collection-request.js';
import { failureOf } from './failures.js';

/** After this many slow cycles in a row the cause is the app, and not a busy moment of log-cache. */
const cyclesThatTell = 2;
/** How long timers are read until the query is tried again, and the query is kept where there are too many timers. */
const triedAgainAfterMs = 10 * 60_000;
const maxApps = 1000;

interface Slow {
  /** Cycles whose query took too long. */
  cycles: number;
  /** End of the window of the last of them. Seconds since the epoch. */
  timeSecs: number;
  /** Monotonic ms. */
  nextTrialMs: number;
  tooManyUntilMs: number;
  /** The last read, which serves both http metric types. */
  read: { readonly window: HttpWindow; readonly result: Promise<CollectionResult> } | null;
}

/**
 * Apps whose query takes too long even when they are asked for alone. For a query log-cache reads all gauges, counters
 * and timers of the app. An app with many instances has far more gauges than requests: reading its timers alone may
 * cost a tenth, and one read serves both http metric types.
 */
export class TimerFallback {
  /** The app that was added first comes first. */
  readonly #apps = new Map<string, Slow>();

  constructor(
    private readonly collector: Collector,
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** Whether the app's query took too long recently. */
  knows(appId: string): boolean {
    return this.#apps.has(appId);
  }

  /** Whether the app's timers are read instead of a query. Every ten minutes one question tries the query again. */
  areRead(appId: string, canTryQuery: boolean): boolean {
    const app = this.#apps.get(appId);
    if (!app || !this.#areCheaper(app)) return false;
    const nowMs = this.clock.monotonic();
    if (!canTryQuery || nowMs < app.nextTrialMs) return true;
    app.nextTrialMs = nowMs + triedAgainAfterMs;
    return false;
  }

  querySucceeded(appId: string): void {
    this.#apps.delete(appId);
  }

  /** The query for this app alone took too long. Returns whether its timers are to be read instead. */
  queryTookTooLong({ appId, timeSecs }: HttpQuestion): boolean {
    const app = this.#apps.get(appId) ?? this.#add(appId);
    if (app.timeSecs !== timeSecs) {
      app.timeSecs = timeSecs;
      app.cycles++;
      if (app.cycles === cyclesThatTell) app.nextTrialMs = this.clock.monotonic() + triedAgainAfterMs;
    }
    return this.#areCheaper(app);
  }

  /** The outcome is null where there are too many timers. */
  async read({
    metricType,
    ...window
  }: HttpQuestion): Promise<{ outcome: HttpOutcome | null; cost: CollectionCost }> {
    const app = this.#apps.get(window.appId) ?? this.#add(window.appId);
    const { timeSecs, windowSecs } = app.read?.window ?? {};
    const isShared = timeSecs === window.timeSecs && windowSecs === window.windowSecs;
    if (!app.read || !isShared) {
      app.read = { window, result: this.collector.run({ kind: 'timers', ...window }) };
    }
    const result = await app.read.result;
    const cost = isShared ? noCost() : result.cost;
    if (result.kind !== 'timers') return { outcome: failureOf(result, 'reading http timers'), cost };
    if (!result.outcomes) app.tooManyUntilMs = this.clock.monotonic() + triedAgainAfterMs;
    return { outcome: result.outcomes?.[metricType] ?? null, cost };
  }

  #areCheaper({ cycles, tooManyUntilMs }: Slow): boolean {
    return cycles >= cyclesThatTell && this.clock.monotonic() >= tooManyUntilMs;
  }

  #add(appId: string): Slow {
    const [oldest] = this.#apps.keys();
    if (oldest !== undefined && this.#apps.size >= maxApps) this.#apps.delete(oldest);
    const app: Slow = { cycles: 0, timeSecs: -1, nextTrialMs: 0, tooManyUntilMs: -Infinity, read: null };
    this.#apps.set(appId, app);
    return app;
  }
}

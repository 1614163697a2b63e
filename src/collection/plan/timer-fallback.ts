import type { Clock } from '../../util/clock.js';
import type { Collector } from './authorized-collector.js';
import { noCost } from '../pool/cost.js';
import type { HttpOutcome } from '../worker/http-aggregation.js';
import type { CollectionCost, CollectionResult } from '../pool/job.js';
import type { HttpQuestion } from './query-batcher.js';

/** So many cycles in a row whose query took too long: it is the app, not the moment. */
const cyclesThatTell = 2;
/** After so long the query is tried again; so long it is kept to where there are too many timers. */
const triedAgainAfterMs = 10 * 60_000;
const maxApps = 1000;

interface TimersRead {
  readonly timeSecs: number;
  readonly windowSecs: number;
  readonly result: Promise<CollectionResult>;
}

interface Slow {
  /** Cycles whose query took too long. */
  cycles: number;
  /** End of the window of the last of them. Seconds since the epoch. */
  timeSecs: number;
  /** Monotonic ms. */
  nextTrialMs: number;
  tooManyUntilMs: number;
  /** The last read, which serves both http metric types. */
  read: TimersRead | null;
}

/**
 * Apps whose query takes too long even when they are asked for alone. A query costs log-cache time by all gauges, counters
 * and timers of the app, of which one with many instances has far more than it has requests: reading its timers alone
 * may cost a tenth, and one read serves both http metric types.
 */
export class TimerFallback {
  /** Longest known first. */
  readonly #apps = new Map<string, Slow>();

  constructor(
    private readonly collector: Collector,
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** Whether the app's query took too long lately. */
  knows(appId: string): boolean {
    return this.#apps.has(appId);
  }

  /** Whether the app's timers are to be read at once. Where they are, one question every ten minutes goes to the query. */
  areRead(appId: string, canTryQuery: boolean): boolean {
    const app = this.#apps.get(appId);
    if (!app || !this.#areCheaper(app)) return false;
    const nowMs = this.clock.monotonic();
    if (!canTryQuery || nowMs < app.nextTrialMs) return true;
    app.nextTrialMs = nowMs + triedAgainAfterMs;
    return false;
  }

  queryAnswered(appId: string): void {
    this.#apps.delete(appId);
  }

  /** The query for this app alone took too long. Tells whether its timers are to be read instead. */
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
  async read(question: HttpQuestion): Promise<{ outcome: HttpOutcome | null; cost: CollectionCost }> {
    const { appId, timeSecs, windowSecs, metricType } = question;
    const app = this.#apps.get(appId) ?? this.#add(appId);
    const shared = app.read?.timeSecs === timeSecs && app.read.windowSecs === windowSecs ? app.read : null;
    app.read = shared ?? {
      timeSecs,
      windowSecs,
      result: this.collector.run({ kind: 'timers', appId, timeSecs, windowSecs }),
    };
    const result = await app.read.result;
    const cost = shared ? noCost() : result.cost;
    if (result.kind === 'failed') {
      const { failure, message } = result;
      return { outcome: { kind: 'failed', failure, message: `reading http timers: ${message}` }, cost };
    }
    if (result.kind === 'timers' && result.outcomes) return { outcome: result.outcomes[metricType], cost };
    app.tooManyUntilMs = this.clock.monotonic() + triedAgainAfterMs;
    return { outcome: null, cost };
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

import type { Clock } from '../../util/clock.js';
import type { Logger } from '../../observability/logger.js';
import type { Metrics } from '../../observability/metrics.js';
import type { MetricOutcome } from '../pool/job.js';
import { ForgettingMap } from './forgetting-map.js';

/** If at least this number and this share of the apps lose their values at once, log-cache is the cause. */
const fewestApps = 2;
const shareOfApps = 0.05;
const forgottenAfterIntervals = 15;

export interface ValuesWatchOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Pick<Logger, 'error' | 'info'>;
  readonly metrics: Pick<Metrics, 'appsWithoutValues' | 'valuesMissing'>;
  /** The collection interval: within it every app has a cycle. */
  readonly intervalMs: number;
  /** Called as soon as many apps have lost their values; more may follow within the interval. */
  readonly onJump: () => void;
}

interface Known {
  /** When its values went; null while it has some. Monotonic ms. */
  lostMs: number | null;
  lastCycleMs: number;
}

/**
 * Watches how many apps had values and have none. Developers stop apps one by one; a dead node of log-cache, for whose
 * apps the response is 200 without envelopes, takes the values of many within one interval.
 */
export class MissingValuesWatch {
  readonly #apps = new ForgettingMap<Known>();
  #withoutValues = 0;
  /** Whose values went within the last interval, the first of them first. */
  readonly #lostLately = new Set<Known>();
  /** When a jump began; null while there is none. */
  #jumpMs: number | null = null;
  /** Whether as many as make a jump lost their values within the last interval. */
  #isJumping = false;
  /** Whose values went in a jump, and have not come back. */
  readonly #lostInJump = new Set<Known>();
  #said = false;

  constructor(private readonly options: ValuesWatchOptions) {}

  /**
   * Takes over from an app's history that it had values before the first cycle here: a restart, or a move to another
   * member, does not end what is wrong with log-cache. A value of null is *no data*.
   */
  seed(appId: string, points: readonly { readonly value: bigint | null }[]): void {
    if (this.#apps.has(appId) || points.every(({ value }) => value === null)) return;
    this.#apps.set(appId, { lostMs: null, lastCycleMs: this.options.clock.monotonic() });
  }

  /** What a cycle found out about an app. A failure says nothing about values. */
  collected(appId: string, outcomes: Iterable<MetricOutcome>): void {
    let hasOutcome = false;
    let hasValue = false;
    for (const { kind } of outcomes) {
      if (kind === 'failed') return;
      hasOutcome = true;
      if (kind === 'value') hasValue = true;
    }
    if (!hasOutcome) return;
    const nowMs = this.options.clock.monotonic();
    const known = this.#apps.get(appId);
    if (known) known.lastCycleMs = nowMs;
    else if (hasValue) this.#apps.set(appId, { lostMs: null, lastCycleMs: nowMs });
    if (known && hasValue && known.lostMs !== null) {
      known.lostMs = null;
      this.#withoutValues--;
      this.#lostLately.delete(known);
      this.#lostInJump.delete(known);
    } else if (known && !hasValue && known.lostMs === null) {
      known.lostMs = nowMs;
      this.#withoutValues++;
      this.#lostLately.add(known);
      if (this.#isJumping) this.#lostInJump.add(known);
    }
    this.#update(nowMs);
  }

  /** Forgets apps without cycles. Cycles do that too, but there may be none any more. To be called every few seconds. */
  refresh(): void {
    this.#update(this.options.clock.monotonic());
  }

  #update(nowMs: number): void {
    this.#sweep(nowMs);
    this.options.metrics.appsWithoutValues.set(this.#withoutValues);
    this.#forgetEarlierLosses(nowMs);
    this.#judge(nowMs);
    this.options.metrics.valuesMissing.set(this.#said ? 1 : 0);
  }

  /** Ends at the first recent loss, as losses are in the order of time. Looking through all apps would block the thread. */
  #forgetEarlierLosses(nowMs: number): void {
    for (const known of this.#lostLately) {
      if (known.lostMs !== null && nowMs - known.lostMs <= this.options.intervalMs) return;
      this.#lostLately.delete(known);
    }
  }

  #judge(nowMs: number): void {
    const { intervalMs, logger } = this.options;
    const needed = Math.max(fewestApps, shareOfApps * this.#apps.size);
    const wasJumping = this.#isJumping;
    this.#isJumping = this.#lostLately.size >= needed;
    if (this.#isJumping && !wasJumping) {
      this.#jumpMs ??= nowMs;
      for (const known of this.#lostLately) this.#lostInJump.add(known);
      this.options.onJump();
    }
    if (this.#jumpMs === null) return;
    if (this.#lostInJump.size < needed) {
      if (this.#said) logger.info('values-are-back', { apps: this.#apps.size });
      this.#said = false;
      this.#jumpMs = null;
      this.#lostInJump.clear();
    } else if (!this.#said && nowMs - this.#jumpMs >= intervalMs) {
      // By now every app has had a cycle.
      this.#said = true;
      const apps = this.#apps.size;
      const error = new Error(
        `${this.#withoutValues} of ${apps} apps had values and have none any more: look whether a node of log-cache is dead`,
      );
      logger.error('apps-lost-their-values', error, { apps, withoutValues: this.#withoutValues });
    }
  }

  #sweep(nowMs: number): void {
    const forgottenAfterMs = forgottenAfterIntervals * this.options.intervalMs;
    this.#apps.sweep(
      nowMs / 1000,
      ({ lastCycleMs }) => nowMs - lastCycleMs >= forgottenAfterMs,
      (_appId, known) => {
        if (known.lostMs !== null) this.#withoutValues--;
        this.#lostInJump.delete(known);
      },
    );
  }
}

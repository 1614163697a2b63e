import type { Clock } from '../../util/clock.js';
import type { Logger } from '../../observability/logger.js';
import type { Metrics } from '../../observability/metrics.js';
import type { MetricOutcome } from '../pool/job.js';

/** So many apps at least, and this share of all, lose their values at once: it is not the apps. */
const fewestApps = 2;
const shareOfApps = 0.05;
const forgottenAfterIntervals = 15;

export interface ValuesWatchOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Pick<Logger, 'error' | 'info'>;
  readonly metrics: Pick<Metrics, 'appsWithoutValues'>;
  /** The collection interval: within it every app has a cycle. */
  readonly intervalMs: number;
  /** Called as soon as many apps have lost their values, before it is known how many in all. */
  readonly onJump: () => void;
}

interface Known {
  /** When its values went; null while it has some. Monotonic ms. */
  lostMs: number | null;
  seenMs: number;
}

/**
 * Watches how many apps had values and have none. One by one they are stopped by their developers; a dead node of
 * log-cache, whose apps are answered 200 and nothing, takes the values of many within one interval.
 */
export class MissingValuesWatch {
  readonly #options: ValuesWatchOptions;
  readonly #apps = new Map<string, Known>();
  #withoutValues = 0;
  /** When the first of a jump was seen; null while there is none. */
  #jumpMs: number | null = null;
  #said = false;
  #sweptMs = -Infinity;

  constructor(options: ValuesWatchOptions) {
    this.#options = options;
  }

  /** What a cycle found out about an app. A failure says nothing about values. */
  collected(appId: string, outcomes: Iterable<MetricOutcome>): void {
    const kinds = new Set([...outcomes].map(({ kind }) => kind));
    if (kinds.has('failed') || kinds.size === 0) return;
    const nowMs = this.#options.clock.monotonic();
    const known = this.#apps.get(appId);
    if (kinds.has('value')) {
      if (known && known.lostMs !== null) this.#withoutValues--;
      if (known) Object.assign(known, { lostMs: null, seenMs: nowMs });
      else this.#apps.set(appId, { lostMs: null, seenMs: nowMs });
    } else if (known) {
      if (known.lostMs === null) this.#withoutValues++;
      Object.assign(known, { lostMs: known.lostMs ?? nowMs, seenMs: nowMs });
    }
    this.#sweep(nowMs);
    this.#options.metrics.appsWithoutValues.set(this.#withoutValues);
    this.#judge(nowMs, known);
  }

  #judge(nowMs: number, changed: Known | undefined): void {
    const { intervalMs, logger } = this.#options;
    const needed = Math.max(fewestApps, shareOfApps * this.#apps.size);
    if (this.#jumpMs === null) {
      if (changed?.lostMs !== nowMs || this.#withoutValues < needed) return;
      const lately = [...this.#apps.values()].filter(
        ({ lostMs }) => lostMs !== null && nowMs - lostMs <= intervalMs,
      );
      if (lately.length < needed) return;
      this.#jumpMs = nowMs;
      this.#options.onJump();
    } else if (this.#withoutValues < needed) {
      if (this.#said) logger.info('values-are-back', { apps: this.#apps.size });
      this.#said = false;
      this.#jumpMs = null;
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

  /** Forgets the apps that had no cycle for long: they have other owners, or no policy. */
  #sweep(nowMs: number): void {
    const { intervalMs } = this.#options;
    if (nowMs - this.#sweptMs < intervalMs) return;
    this.#sweptMs = nowMs;
    for (const [appId, { seenMs, lostMs }] of this.#apps) {
      if (nowMs - seenMs < forgottenAfterIntervals * intervalMs) continue;
      this.#apps.delete(appId);
      if (lostMs !== null) this.#withoutValues--;
    }
  }
}

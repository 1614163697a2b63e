import type { Clock } from '../util/clock.js';
import type { LogData, Logger } from './logger.js';
import type { Metrics } from './metrics.js';

const defaultMaxKeys = 100;

interface Seen {
  readonly loggedAtMs: number;
  suppressed: number;
}

/**
 * Logs what can happen again and again: the first time at once, then at most once an interval per key, with the
 * number of lines left out since as `suppressed`. Every line left out is counted in the metrics as well.
 */
export class RepeatedEvents {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: Pick<Metrics, 'logLinesSuppressed'>;
  readonly #intervalMs: number;
  readonly #maxKeys: number;
  readonly #seen = new Map<string, Seen>();

  constructor(options: {
    clock: Clock;
    logger: Logger;
    metrics: Pick<Metrics, 'logLinesSuppressed'>;
    /** Default: one minute. */
    intervalMs?: number;
    /** Distinct keys in an interval, 100 by default; lines of further ones are left out. */
    maxKeys?: number;
  }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#metrics = options.metrics;
    this.#intervalMs = options.intervalMs ?? 60_000;
    this.#maxKeys = options.maxKeys ?? defaultMaxKeys;
  }

  /** `key` tells apart what is limited separately: the event, or a kind of it; never something unbounded like an app. */
  error(event: string, error: unknown, data: LogData = {}, key = event): void {
    const suppressed = this.#admit(key);
    if (suppressed !== null) this.#logger.error(event, error, withCount(data, suppressed));
  }

  info(event: string, data: LogData = {}, key = event): void {
    const suppressed = this.#admit(key);
    if (suppressed !== null) this.#logger.info(event, withCount(data, suppressed));
  }

  /** How many lines were left out since the last one, or null if this one is left out too. */
  #admit(key: string): number | null {
    const nowMs = this.#clock.monotonic();
    const seen = this.#seen.get(key);
    if (seen ? nowMs - seen.loggedAtMs < this.#intervalMs : this.#isFull(nowMs)) {
      if (seen) seen.suppressed++;
      this.#metrics.logLinesSuppressed.inc();
      return null;
    }
    this.#seen.set(key, { loggedAtMs: nowMs, suppressed: 0 });
    return seen?.suppressed ?? 0;
  }

  #isFull(nowMs: number): boolean {
    if (this.#seen.size < this.#maxKeys) return false;
    for (const [key, { loggedAtMs }] of this.#seen) {
      if (nowMs - loggedAtMs >= this.#intervalMs) this.#seen.delete(key);
    }
    return this.#seen.size >= this.#maxKeys;
  }
}

function withCount(data: LogData, suppressed: number): LogData {
  return suppressed > 0 ? { ...data, suppressed } : data;
}

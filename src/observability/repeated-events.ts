import type { Clock } from '../util/clock.js';
import type { LogData, Logger } from './logger.js';
import type { Metrics } from './metrics.js';

interface Seen {
  readonly loggedAtMs: number;
  suppressed: number;
}

/** What repeated events are logged with. */
export interface LogContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'logLinesSuppressed'>;
}

/**
 * Logs events that repeat: the first at once, then at most one an interval for each key, with the number of lines left
 * out since as `suppressed`. A metric counts the lines left out.
 */
export class RepeatedEvents {
  readonly #seen = new Map<string, Seen>();

  constructor(
    private readonly options: LogContext & {
      /** Between two lines of one key; default: one minute. */
      readonly lineIntervalMs?: number;
      /** Keys in an interval, 100 by default. Lines of further keys are left out. */
      readonly maxKeys?: number;
    },
  ) {}

  /** `key` is what is limited by itself: the event, or a kind of it; nothing unbounded, like an app. */
  error(event: string, error: unknown, data: LogData = {}, key = event): void {
    const suppressed = this.#admit(key);
    if (suppressed !== null) this.options.logger.error(event, error, withCount(data, suppressed));
  }

  info(event: string, data: LogData = {}, key = event): void {
    const suppressed = this.#admit(key);
    if (suppressed !== null) this.options.logger.info(event, withCount(data, suppressed));
  }

  /** The number of lines left out since the last one; null if this one is left out too. */
  #admit(key: string): number | null {
    const { clock, metrics, lineIntervalMs = 60_000, maxKeys = 100 } = this.options;
    const nowMs = clock.monotonic();
    const isOver = ({ loggedAtMs }: Seen) => nowMs - loggedAtMs >= lineIntervalMs;
    const seen = this.#seen.get(key);
    if (!seen && this.#seen.size >= maxKeys) {
      for (const [old, entry] of this.#seen) if (isOver(entry)) this.#seen.delete(old);
    }
    if (seen ? !isOver(seen) : this.#seen.size >= maxKeys) {
      if (seen) seen.suppressed++;
      metrics.logLinesSuppressed.inc();
      return null;
    }
    this.#seen.set(key, { loggedAtMs: nowMs, suppressed: 0 });
    return seen?.suppressed ?? 0;
  }
}

function withCount(data: LogData, suppressed: number): LogData {
  return suppressed > 0 ? { ...data, suppressed } : data;
}

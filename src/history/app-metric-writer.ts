import { backOff } from '../util/back-off.js';
import { endsWithin, sleep, type Clock, type Timer } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { AppMetric } from './app-metric.js';
import { statementTimeoutMs, type AppMetricStore } from './app-metric-store.js';
import { insertUsable } from './insert-usable.js';
import { toStorable } from './storable-row.js';

export interface AppMetricWriterOptions {
  readonly store: Pick<AppMetricStore, 'insert'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'writerBuffered' | 'rowsWritten' | 'rowsLost' | 'logLinesSuppressed'>;
  readonly saveIntervalMs: number;
  /** Rows that may wait; default 300,000: over a minute of 50,000 apps with three metric types, some 40 MB. */
  readonly maxBufferedRows?: number;
  /** 0 to 1; default Math.random. */
  readonly random?: () => number;
}

/** Why a row was given up: no room for it, impossible values, or the process ended before it could be written. */
export type LossReason = 'buffer_full' | 'rejected' | 'shutdown';

/**
 * Rows of one statement: few statements even at 50,000 apps, which bring 20,000 rows per save interval, and none that
 * keeps the main thread for long (10 to 20 ms). A row that the database rejects is found in 14 halvings.
 */
const maxRowsPerInsert = 10_000;
/** After failures: what even a slow database writes within the deadline. */
const leastRowsPerInsert = 500;
const maxRetryMs = 30_000;
/** A cycle takes a fraction of this; the new owner of an app reads what is stored a second after. */
const soonMs = 500;
const flushRetryMs = 250;
/** Between two log lines about rejected rows: an app that has one has more of them. */
const rejectedReportMs = 600_000;

/**
 * Writes app metrics to appmetrics_db, once per save interval. While the database is away they wait, up to a bound,
 * and the oldest give way. After a failure that leaves open whether the rows were stored (a deadline, a broken
 * connection), they are written again, but for those that are there by then.
 */
export class AppMetricWriter {
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #rejections: RepeatedEvents;
  readonly #maxBufferedRows: number;
  readonly #stopping = new AbortController();
  /** Oldest first. Rows being written are not in it. */
  #waiting: AppMetric[] = [];
  /** The number of the oldest rows that an attempt without a response may have written. */
  #perhapsWritten = 0;
  #beingWritten = 0;
  /** Each failure halves it, because a slow database never writes many rows within the deadline. Reset when all is written. */
  #rowsPerInsert = maxRowsPerInsert;
  #writing: Promise<void> | undefined;
  #soon: Timer | undefined;
  #loop: Promise<void> | undefined;
  #flushed: Promise<void> | undefined;
  #failures = 0;
  #bufferFull = false;
  #closed = false;

  constructor(private readonly options: AppMetricWriterOptions) {
    this.#logger = options.logger.child('app-metric-writer');
    const { clock, metrics } = options;
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
    this.#rejections = new RepeatedEvents({
      clock,
      metrics,
      logger: this.#logger,
      lineIntervalMs: rejectedReportMs,
    });
    this.#maxBufferedRows = options.maxBufferedRows ?? 300_000;
  }

  /** Takes rows for the next save. Never waits, never throws. */
  add(rows: readonly AppMetric[]): void {
    if (this.#closed) return this.#lose(rows.length, 'shutdown');
    for (const row of rows) {
      const storable = toStorable(row);
      if (storable !== undefined) this.#waiting.push(storable);
      else this.#reject(row, new Error('app id or metric type is too long or contains a NUL character'));
    }
    this.#enforceBound();
  }

  /** Begins to save. Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Writes what waits now instead of at the next interval: for the next reader of the database. Never rejects. */
  saveNow(): Promise<void> {
    return this.#write(() => statementTimeoutMs);
  }

  /** The same in a moment, when cycles that are under way have ended. */
  saveSoon(): void {
    if (this.#stopping.signal.aborted) return;
    this.#soon?.cancel();
    this.#soon = this.options.clock.setTimer(soonMs, () => void this.saveNow());
  }

  /**
   * Ends saving at intervals and writes what waits, for at most deadlineMs; what is left then is lost and counted.
   * Rows added later are lost too. Idempotent; never rejects.
   */
  flush(deadlineMs: number): Promise<void> {
    return (this.#flushed ??= this.#flush(deadlineMs));
  }

  async #run(): Promise<void> {
    const { clock, saveIntervalMs } = this.options;
    const { signal } = this.#stopping;
    for (;;) {
      await sleep(clock, this.#failures === 0 ? saveIntervalMs : this.#retryDelayMs(), signal);
      if (signal.aborted) return;
      await this.#write(() => statementTimeoutMs);
    }
  }

  async #flush(deadlineMs: number): Promise<void> {
    this.#soon?.cancel();
    const { clock } = this.options;
    const endsAt = clock.monotonic() + deadlineMs;
    const leftMs = () => Math.max(0, endsAt - clock.monotonic());
    this.#stopping.abort();
    const over = new AbortController();
    const written = (async () => {
      await this.#loop;
      // A write that is running has taken rows, and may fail.
      while ((this.#waiting.length > 0 || this.#writing) && leftMs() > 0) {
        await this.#write(leftMs);
        if (this.#failures > 0) await sleep(clock, Math.min(flushRetryMs, leftMs()), over.signal);
      }
    })();
    await endsWithin(clock, deadlineMs, written);
    over.abort();
    this.#closed = true;
    const lost = this.#waiting.length + this.#beingWritten;
    this.#waiting = [];
    if (lost > 0) {
      this.#lose(lost, 'shutdown');
      this.#logger.error('rows-lost', new Error(`${lost} app metrics were not written in ${deadlineMs} ms`));
    }
    this.options.metrics.writerBuffered.set(0);
  }

  /** Writes what waits now, chunk by chunk, until a failure. One at a time. Never rejects. */
  #write(timeoutMs: () => number): Promise<void> {
    return (this.#writing ??= this.#writeChunks(timeoutMs).finally(() => (this.#writing = undefined)));
  }

  async #writeChunks(timeoutMs: () => number): Promise<void> {
    while (this.#waiting.length > 0 && timeoutMs() > 0) {
      const isRepeated = this.#perhapsWritten > 0;
      const chunk = this.#waiting.splice(0, Math.min(this.#perhapsWritten || Infinity, this.#rowsPerInsert));
      if (isRepeated) this.#perhapsWritten -= chunk.length;
      this.#beingWritten = chunk.length;
      const { unwritten, perhapsWritten, error } = await insertUsable(chunk, {
        insert: (part) => this.options.store.insert(part, { timeoutMs: timeoutMs(), isRepeated }),
        onInserted: (rows) => this.options.metrics.rowsWritten.inc(rows),
        onRejected: (row, reason) => this.#reject(row, reason),
        onProgress: (rowsLeft) => (this.#beingWritten = rowsLeft),
      });
      this.#beingWritten = 0;
      if (this.#closed) return; // given up meanwhile
      if (unwritten.length > 0) {
        this.#waiting = [...unwritten, ...this.#waiting];
        this.#perhapsWritten += isRepeated ? unwritten.length : perhapsWritten;
        this.#enforceBound();
        this.#rowsPerInsert = Math.max(leastRowsPerInsert, Math.floor(this.#rowsPerInsert / 2));
        return this.#reportFailure(error);
      }
      this.#updateBuffered();
      this.#reportSuccess();
    }
    if (this.#waiting.length === 0) this.#rowsPerInsert = maxRowsPerInsert;
  }

  #enforceBound(): void {
    const surplus = this.#waiting.length + this.#beingWritten - this.#maxBufferedRows;
    if (surplus > 0) {
      // A hundredth at once: making room for single rows would move all others for each.
      const givenUp = Math.max(surplus, Math.floor(this.#maxBufferedRows / 100));
      this.#lose(this.#waiting.splice(0, givenUp).length, 'buffer_full');
      this.#perhapsWritten = Math.max(0, this.#perhapsWritten - givenUp);
      if (!this.#bufferFull) {
        this.#repeated.error('buffer-full', new Error('the oldest app metrics are given up for new ones'), {
          rows: this.#maxBufferedRows,
        });
      }
      this.#bufferFull = true;
    }
    this.#updateBuffered();
  }

  #updateBuffered(): void {
    this.options.metrics.writerBuffered.set(this.#waiting.length + this.#beingWritten);
  }

  #lose(rows: number, reason: LossReason): void {
    this.options.metrics.rowsLost.inc({ reason }, rows);
  }

  #reportFailure(error: unknown): void {
    if (this.#failures++ === 0) {
      this.#repeated.error('rows-not-written', error, { waiting: this.#waiting.length });
    } else {
      this.#logger.debug('rows-still-not-written', {
        failures: this.#failures,
        waiting: this.#waiting.length,
      });
    }
  }

  #reportSuccess(): void {
    if (this.#failures > 0) {
      this.#repeated.info('rows-written-again', { failures: this.#failures, waiting: this.#waiting.length });
    }
    this.#failures = 0;
    this.#bufferFull = false;
  }

  #reject(row: AppMetric, error: unknown): void {
    this.#lose(1, 'rejected');
    this.#rejections.error('row-rejected', error, {
      appId: row.appId.slice(0, 255),
      metricType: row.metricType.slice(0, 100),
    });
  }

  #retryDelayMs(): number {
    const { saveIntervalMs, random = Math.random } = this.options;
    const longestMs = Math.max(maxRetryMs, saveIntervalMs);
    return backOff(2 * saveIntervalMs, longestMs, this.#failures, random);
  }
}

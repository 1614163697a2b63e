import type { Mode } from '../config/config.js';
import type { Database } from '../database/database.js';
import { databaseFailureKind } from '../database/errors.js';
import { ensureTables, saysTableIsGone } from '../database/ensure-tables.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { endsWithin, sleep, type Clock } from '../util/clock.js';
import { errorText } from '../util/errors.js';
import type { DecisionRecorder } from './decision-recorder.js';
import type { DecisionChange, DecisionStore } from './decision-store.js';

export interface DecisionWriterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'decisionRowsWritten' | 'decisionRowsLost' | 'logLinesSuppressed'>;
  readonly database: Database;
  readonly mode: Mode;
  readonly store: Pick<DecisionStore, 'write' | 'remove' | 'prune'>;
  readonly recorder: Pick<DecisionRecorder, 'takeRows' | 'giveBack'>;
  /** Whether the tables are created where they are missing. */
  readonly mayCreate: boolean;
}

/** One statement a step, so that decisions are never more than one statement a second. */
const stepMs = 1_000;
/** 50,000 rows are written within half a minute, and none of these takes the main thread for long. */
const rowsPerStep = 2_000;
const maxChanges = 10_000;
const maxRemoved = 50_000;
const removedPerStep = 1_000;
/** From one page of apps to the next, and from the last page to the first. */
const pruneEveryMs = 10_000;
const pruneAgainMs = 300_000;
const retryMs = 10_000;
const withoutTablesMs = 600_000;
const stopDeadlineMs = 500;

/**
 * Writes what the owner knows of its apps, for other members and commands. Nothing depends on it: while the database is
 * away rows are written later, as they are then, and the oldest changes are lost and counted.
 */
export class DecisionWriter {
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #stopping = new AbortController();
  #changes: DecisionChange[] = [];
  /** Apps whose rows are to be removed; true: their changes, too. */
  readonly #removed = new Map<string, boolean>();
  #loop: Promise<void> | undefined;
  #hasTables = false;
  #pruneAfter = '';
  #pruneAtMs = -Infinity;

  constructor(private readonly options: DecisionWriterOptions) {
    this.#logger = options.logger.child('decisions');
    this.#repeated = new RepeatedEvents({
      ...options,
      logger: this.#logger,
      lineIntervalMs: withoutTablesMs,
    });
  }

  /** Whether there are tables that this member writes. */
  get hasTables(): boolean {
    return this.#hasTables;
  }

  addChange(change: DecisionChange): void {
    this.#changes.push(change);
    const surplus = this.#changes.length - maxChanges;
    if (surplus > 0) this.#lose(this.#changes.splice(0, surplus).length);
  }

  /** These apps have no rules any more; `isGone`: no policy at all, so that nobody asks for their past either. */
  remove(appIds: Iterable<string>, isGone: (appId: string) => boolean): void {
    for (const appId of appIds) {
      // Rows that nobody renews are removed a day later anyway.
      if (this.#removed.size < maxRemoved) this.#removed.set(appId, isGone(appId));
    }
    this.#changes = this.#changes.filter(({ appId }) => this.#removed.get(appId) !== true);
  }

  /** Begins to write. Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Writes what waits, if that is quick. Idempotent; never rejects. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { clock } = this.options;
    const written = Promise.resolve(this.#loop).then(() => (this.#hasTables ? this.#write(true) : undefined));
    await endsWithin(clock, stopDeadlineMs, written);
  }

  async #run(): Promise<void> {
    const { clock } = this.options;
    const { signal } = this.#stopping;
    for (let waitMs = stepMs; ;) {
      await sleep(clock, waitMs, signal);
      if (signal.aborted) return;
      waitMs = await this.#step();
    }
  }

  /** Returns the ms until the next step. Never rejects. */
  async #step(): Promise<number> {
    try {
      this.#hasTables ||= await this.#prepare();
      if (!this.#hasTables) return withoutTablesMs;
      await this.#runStatement();
      return stepMs;
    } catch (error) {
      if (saysTableIsGone(error)) this.#hasTables = false;
      // That the database is away is told by those who depend on it.
      if (databaseFailureKind(error) === 'connection') {
        this.#logger.debug('decisions-wait', { error: errorText(error) });
      } else {
        this.#repeated.error('decisions-not-written', error);
      }
      return retryMs;
    }
  }

  async #runStatement(): Promise<void> {
    const { clock, store } = this.options;
    const nowMs = clock.monotonic();
    if (this.#removed.size > 0) {
      const some = [...this.#removed].slice(0, removedPerStep);
      const gone = some.filter(([, isGone]) => isGone);
      await store.remove(idsOf(some), idsOf(gone));
      for (const [appId, isGone] of some) {
        if (this.#removed.get(appId) === isGone) this.#removed.delete(appId);
      }
    } else if (nowMs >= this.#pruneAtMs) {
      this.#pruneAtMs = nowMs + pruneEveryMs;
      const last = await store.prune(this.#pruneAfter);
      if (last === null) this.#pruneAtMs = nowMs + pruneAgainMs;
      this.#pruneAfter = last ?? '';
    } else {
      await this.#write();
    }
  }

  async #write(isLast = false): Promise<void> {
    const { metrics, recorder, store } = this.options;
    const rows = recorder.takeRows(rowsPerStep, isLast);
    const changes = this.#changes.splice(0, rowsPerStep);
    if (rows.length + changes.length === 0) return;
    try {
      await store.write(rows, changes);
      metrics.decisionRowsWritten.inc(rows.length + changes.length);
    } catch (error) {
      if (databaseFailureKind(error) === 'data') {
        this.#lose(rows.length + changes.length);
      } else {
        recorder.giveBack(rows);
        this.#changes = [...changes, ...this.#changes];
      }
      throw error;
    }
  }

  /** Whether the tables are there and may be used. Rejects when the database does not answer. */
  #prepare(): Promise<boolean> {
    const { database, mode, mayCreate } = this.options;
    const log = { logger: this.#logger, repeated: this.#repeated };
    // Static ownership has no tables of its own unless somebody has made them.
    return ensureTables({ database, mode, group: 'decisions', mayCreate, ...log });
  }

  #lose(rows: number): void {
    this.options.metrics.decisionRowsLost.inc(rows);
  }
}

function idsOf(apps: readonly (readonly [appId: string, isGone: boolean])[]): string[] {
  return apps.map(([appId]) => appId);
}

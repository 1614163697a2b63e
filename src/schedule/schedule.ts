import TinyQueue from 'tinyqueue';
import type { Clock, Timer } from '../util/clock.js';
import type { Metrics } from '../observability/metrics.js';
import { delayInSlot, groupsFor, phaseOf } from './phases.js';

export interface ScheduleOptions {
  readonly clock: Clock;
  /** The collection interval. */
  readonly intervalMs: number;
  /** How many cycles may run at once. `finished` and `waited` tell what happens, so that it can adapt. */
  readonly limit: {
    readonly current: number;
    finished(durationMs: number, isServed: boolean): void;
    waited(): void;
  };
  /** One cycle of one app; `isLast`: of an app that is gone. Resolves to whether log-cache served it; must not reject. */
  readonly run: (appId: string, isLast: boolean) => Promise<boolean>;
  readonly metrics: Metrics;
}

/** All times are monotonic ms. */
interface Entry {
  readonly appId: string;
  /** The slot of its next regular run, or the time of an additional run before that. The same for all members. */
  slotMs: number;
  /** When it is to start: then, or up to a slot's length later. */
  dueMs: number;
  running: boolean;
  /** Gone, but for a last run if `hasLastRun`. */
  removed: boolean;
  hasLastRun: boolean;
  /** An additional run that was asked for while the app was running. */
  extraMs: number | undefined;
}

interface QueuedRun {
  readonly entry: Entry;
  readonly dueMs: number;
}

/**
 * Gives every app a phase of its own within the collection interval. Runs the most overdue app first, never one app
 * twice at once, and as many at a time as the limit allows. Runs that come too late are skipped and counted.
 *
 * The phases follow the wall clock (as it was when the schedule was made), so that a new owner of an app keeps the
 * rhythm of the old one.
 */
export class Schedule {
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new TinyQueue<QueuedRun>([], (a, b) => a.dueMs - b.dueMs);
  readonly #wallOffsetMs: number;
  #groups = 1;
  /** Wakes the schedule for the first run in the queue. */
  #next: { readonly dueMs: number; readonly timer: Timer } | undefined;
  #inFlight = 0;
  #isStopped = false;
  #drained: (() => void)[] = [];

  constructor(private readonly options: ScheduleOptions) {
    this.#wallOffsetMs = options.clock.now() - options.clock.monotonic();
  }

  /** Adds apps. Each runs for the first time in its first slot after `sinceMs`, by default now. Monotonic ms. */
  add(appIds: readonly string[], sinceMs?: number): void {
    const { clock, intervalMs } = this.options;
    const nowMs = clock.monotonic();
    this.#groups = groupsFor(this.#entries.size + appIds.length, intervalMs);
    // Of the slots that were missed only the last is made up for.
    const fromMs = Math.max(sinceMs ?? nowMs, nowMs - intervalMs);
    for (const appId of appIds) {
      const known = this.#entries.get(appId);
      if (known) Object.assign(known, { removed: false, hasLastRun: false });
      else this.#add(appId, fromMs);
    }
    this.#startDue();
  }

  /** Removes apps. Each still has a run that was due by `untilMs`; by default none. Monotonic ms. */
  remove(appIds: readonly string[], untilMs = -Infinity): void {
    for (const appId of appIds) {
      const entry = this.#entries.get(appId);
      if (!entry || entry.removed) continue;
      entry.removed = true;
      entry.hasLastRun = !entry.running && entry.slotMs <= untilMs;
      // A running app is forgotten when it ends: if it comes back meanwhile it must not run twice at once.
      if (!entry.running && !entry.hasLastRun) this.#entries.delete(appId);
    }
    this.#groups = groupsFor(this.#entries.size, this.options.intervalMs);
    this.#startDue();
  }

  /** Runs the app after delayMs in addition to its regular runs, unless it runs earlier anyway. */
  runWithin(appId: string, delayMs: number): void {
    const entry = this.#entries.get(appId);
    if (!entry || entry.removed) return;
    const dueMs = this.options.clock.monotonic() + Math.max(0, delayMs);
    if (entry.running) {
      entry.extraMs = Math.min(dueMs, entry.extraMs ?? Infinity);
    } else if (dueMs < entry.dueMs) {
      this.#enqueue(entry, entry.slotMs, dueMs);
      this.#startDue();
    }
  }

  /** Starts only the last cycles of apps that are gone, all at once; resolves when they have ended. Idempotent. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#startDue();
    return this.#inFlight === 0
      ? Promise.resolve()
      : new Promise((resolve) => void this.#drained.push(resolve));
  }

  #add(appId: string, fromMs: number): void {
    const flags = { running: false, removed: false, hasLastRun: false };
    const entry: Entry = { appId, slotMs: 0, dueMs: 0, extraMs: undefined, ...flags };
    this.#entries.set(appId, entry);
    this.#enqueue(entry, this.#slotAfter(appId, fromMs));
  }

  /** Lets the app run in its slot, or already at extraMs. */
  #enqueue(entry: Entry, slotMs: number, extraMs = Infinity): void {
    const delayMs = delayInSlot(entry.appId, this.options.intervalMs, this.#groups);
    const dueMs = Math.min(slotMs + delayMs, extraMs);
    entry.slotMs = Math.min(slotMs, dueMs);
    entry.dueMs = dueMs;
    this.#queue.push({ entry, dueMs });
  }

  /** The app's first slot after this time; both monotonic ms. */
  #slotAfter(appId: string, timeMs: number): number {
    const { intervalMs } = this.options;
    const phaseMs = phaseOf(appId, intervalMs);
    const intervals = Math.floor((timeMs + this.#wallOffsetMs - phaseMs) / intervalMs) + 1;
    return intervals * intervalMs + phaseMs - this.#wallOffsetMs;
  }

  #startDue(): void {
    this.#wakeAt(this.#startAllDue(this.options.clock.monotonic()));
  }

  /** Returns when the next run is due; undefined where there is none, or where one must end before. */
  #startAllDue(nowMs: number): number | undefined {
    const { limit } = this.options;
    for (let next = this.#queue.peek(); next; next = this.#queue.peek()) {
      const { entry, dueMs } = next;
      const isOver = (entry.removed || this.#isStopped) && !entry.hasLastRun;
      if (isOver || entry.running || dueMs !== entry.dueMs) {
        this.#queue.pop();
        continue;
      }
      // Whoever stops the schedule does not wait for the later starts within a slot.
      if (dueMs > nowMs && !this.#isStopped) return dueMs;
      if (this.#inFlight >= limit.current) {
        limit.waited();
        return undefined;
      }
      this.#queue.pop();
      void this.#run(entry, nowMs);
    }
    return undefined;
  }

  #wakeAt(dueMs: number | undefined): void {
    if (this.#next?.dueMs === dueMs) return;
    this.#next?.timer.cancel();
    this.#next = undefined;
    if (dueMs === undefined) return;
    const { clock } = this.options;
    const timer = clock.setTimer(dueMs - clock.monotonic(), () => {
      this.#next = undefined;
      this.#startDue();
    });
    this.#next = { dueMs, timer };
  }

  async #run(entry: Entry, startedMs: number): Promise<void> {
    const { clock, limit, metrics, run } = this.options;
    entry.running = true;
    metrics.collectionLagSeconds.observe(Math.max(0, startedMs - entry.dueMs) / 1000);
    metrics.collectionsInFlight.set(++this.#inFlight);
    const isServed = await run(entry.appId, entry.hasLastRun);
    const nowMs = clock.monotonic();
    metrics.collectionsInFlight.set(--this.#inFlight);
    metrics.collectionDurationSeconds.observe((nowMs - startedMs) / 1000);
    limit.finished(nowMs - startedMs, isServed);
    metrics.collectionsInFlightLimit.set(limit.current);
    entry.running = false;
    entry.hasLastRun = false;
    if (entry.removed) this.#entries.delete(entry.appId);
    else this.#enqueueNext(entry, nowMs);
    this.#startDue();
    if (this.#isStopped && this.#inFlight === 0) this.#drained.splice(0).forEach((resolve) => resolve());
  }

  #enqueueNext(entry: Entry, nowMs: number): void {
    const { intervalMs, metrics } = this.options;
    const nextMs = this.#slotAfter(entry.appId, nowMs);
    const skipped = Math.round((nextMs - this.#slotAfter(entry.appId, entry.slotMs)) / intervalMs);
    if (skipped > 0) metrics.collectionsSkipped.inc(skipped);
    this.#enqueue(entry, nextMs, entry.extraMs);
    entry.extraMs = undefined;
  }
}

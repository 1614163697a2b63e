import TinyQueue from 'tinyqueue';
import type { Clock, Timer } from '../util/clock.js';
import type { Metrics } from '../observability/metrics.js';
import { fnv1a32, mix32 } from '../util/hash.js';
import type { ConcurrencyLimit } from './concurrency-limit.js';

/** Apps share a slot of this length, so that those in it can share a query. Short against every delay that matters. */
const slotMs = 500;

/**
 * Those of a slot begin in groups, spread over it: hundreds of cycles at once would keep the processors for so long that
 * everything else has to wait. A group has so many apps at least, and so many of them share queries.
 */
const appsPerGroup = 10;
/** A group every 16 ms. Where still more begin at once, the process is busy all the time anyway. */
const mostGroups = 32;

export interface ScheduleOptions {
  readonly clock: Clock;
  /** The collection interval. */
  readonly intervalMs: number;
  readonly limit: ConcurrencyLimit;
  /**
   * One cycle of one app; `isLast`: of one that is gone. Resolves to whether log-cache answered; must not reject.
   */
  readonly run: (appId: string, isLast: boolean) => Promise<boolean>;
  readonly metrics: Pick<
    Metrics,
    | 'collectionLagSeconds'
    | 'collectionDurationSeconds'
    | 'collectionsSkipped'
    | 'collectionsInFlight'
    | 'collectionsInFlightLimit'
  >;
}

export interface Schedule {
  /**
   * Replaces the set of apps to run. New ones start at their first turn after `sinceMs`, by default now; those gone are
   * not started again, but for turns that were due by `untilMs`, by default none. Monotonic ms.
   */
  setApps(appIds: ReadonlySet<string>, change?: { readonly sinceMs: number; readonly untilMs: number }): void;
  /** Runs the app after delayMs in addition to its regular turns, unless it runs earlier anyway. */
  runWithin(appId: string, delayMs: number): void;
  /** Starts no more cycles but the last of apps that are gone; resolves when all have ended. Idempotent. */
  stop(): Promise<void>;
}

interface Entry {
  readonly appId: string;
  /** When its turn or an additional run begins to be due. Of a turn it is the same for every member. Monotonic ms. */
  turnMs: number;
  /** When it is to start: then, or up to a slot later. Monotonic ms. */
  dueMs: number;
  running: boolean;
  /** Gone; but for a last turn, if `hasLastTurn`. */
  removed: boolean;
  hasLastTurn: boolean;
  /** An additional run asked for while the app was running; monotonic ms. */
  extraMs: number | undefined;
}

interface Turn {
  readonly entry: Entry;
  readonly dueMs: number;
}

/**
 * Gives every app its own phase within the collection interval and runs the most overdue app first, never one app
 * twice at once, as many at a time as the limit allows. What cannot be kept up with is skipped and counted.
 *
 * The phases hang on the wall clock (as it was when the schedule was made): a new owner of an app goes on in the
 * rhythm of the old one.
 */
export function createSchedule(options: ScheduleOptions): Schedule {
  const { clock, intervalMs, limit, run, metrics } = options;
  const entries = new Map<string, Entry>();
  const queue = new TinyQueue<Turn>([], (a, b) => a.dueMs - b.dueMs);
  const wallOffsetMs = clock.now() - clock.monotonic();
  let groups = 1;
  let timer: Timer | undefined;
  let inFlight = 0;
  let stopped = false;
  let drained: () => void = () => {};

  /** Has the app run at its turn, or already at extraMs. */
  function enqueue(entry: Entry, turnMs: number, extraMs = Infinity): void {
    const dueMs = Math.min(turnMs + delayInSlot(entry.appId, intervalMs, groups), extraMs);
    entry.turnMs = Math.min(turnMs, dueMs);
    entry.dueMs = dueMs;
    queue.push({ entry, dueMs });
  }

  /** The app's first regular turn after the given monotonic time. */
  function turnAfter(appId: string, monotonicMs: number): number {
    const phaseMs = phaseOf(appId, intervalMs);
    const cycles = Math.floor((monotonicMs + wallOffsetMs - phaseMs) / intervalMs) + 1;
    return cycles * intervalMs + phaseMs - wallOffsetMs;
  }

  function pump(): void {
    timer?.cancel();
    timer = undefined;
    const now = clock.monotonic();
    for (let turn = queue.peek(); turn; turn = queue.peek()) {
      const { entry } = turn;
      const isOver = (entry.removed || stopped) && !entry.hasLastTurn;
      if (isOver || entry.running || turn.dueMs !== entry.dueMs) {
        queue.pop();
        continue;
      }
      if (turn.dueMs > now) {
        timer = clock.setTimer(turn.dueMs - now, pump);
        return;
      }
      if (inFlight >= limit.current) {
        limit.waited();
        return;
      }
      queue.pop();
      void start(entry, now);
    }
  }

  async function start(entry: Entry, now: number): Promise<void> {
    entry.running = true;
    metrics.collectionLagSeconds.observe((now - entry.dueMs) / 1000);
    metrics.collectionsInFlight.set(++inFlight);
    const answered = await run(entry.appId, entry.hasLastTurn);
    finish(entry, now, answered);
  }

  function finish(entry: Entry, startedMs: number, answered: boolean): void {
    const now = clock.monotonic();
    metrics.collectionsInFlight.set(--inFlight);
    metrics.collectionDurationSeconds.observe((now - startedMs) / 1000);
    limit.finished(now - startedMs, answered);
    metrics.collectionsInFlightLimit.set(limit.current);
    entry.running = false;
    entry.hasLastTurn = false;
    if (entry.removed) {
      entries.delete(entry.appId);
    } else {
      const next = turnAfter(entry.appId, now);
      const skipped = Math.round((next - turnAfter(entry.appId, entry.turnMs)) / intervalMs);
      if (skipped > 0) metrics.collectionsSkipped.inc(skipped);
      enqueue(entry, next, entry.extraMs);
      entry.extraMs = undefined;
    }
    pump();
    if (stopped && inFlight === 0) drained();
  }

  return {
    setApps(appIds, { sinceMs, untilMs } = { sinceMs: clock.monotonic(), untilMs: -Infinity }) {
      for (const [appId, entry] of entries) {
        if (appIds.has(appId) || entry.removed) continue;
        entry.removed = true;
        entry.hasLastTurn = !entry.running && entry.turnMs <= untilMs;
        // One that runs is forgotten when it ends: an app that comes back meanwhile must not run twice at once.
        if (!entry.running && !entry.hasLastTurn) entries.delete(appId);
      }
      groups = groupsFor((appIds.size * slotMs) / intervalMs);
      const fromMs = Math.max(sinceMs, clock.monotonic() - intervalMs);
      for (const appId of appIds) {
        const known = entries.get(appId);
        if (known) {
          known.removed = false;
          known.hasLastTurn = false;
          continue;
        }
        const entry: Entry = {
          appId,
          turnMs: 0,
          dueMs: 0,
          running: false,
          removed: false,
          hasLastTurn: false,
          extraMs: undefined,
        };
        entries.set(appId, entry);
        enqueue(entry, turnAfter(appId, fromMs));
      }
      pump();
    },

    runWithin(appId, delayMs) {
      const entry = entries.get(appId);
      if (!entry || entry.removed) return;
      const dueMs = clock.monotonic() + Math.max(0, delayMs);
      if (entry.running) {
        entry.extraMs = Math.min(dueMs, entry.extraMs ?? Infinity);
      } else if (dueMs < entry.dueMs) {
        enqueue(entry, entry.turnMs, dueMs);
        pump();
      }
    },

    stop() {
      stopped = true;
      pump();
      if (inFlight === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const earlier = drained;
        drained = () => {
          earlier();
          resolve();
        };
      });
    },
  };
}

/** 0 ≤ phase < intervalMs, a multiple of the slot's length where the interval holds several slots. */
export function phaseOf(appId: string, intervalMs: number): number {
  const share = shareOf(appId);
  const slots = slotsOf(intervalMs);
  return slots > 1 ? (Math.floor(share * slots) * intervalMs) / slots : share * intervalMs;
}

/** How long after its turn an app of one of so many groups begins: 0 ≤ delay < length of a slot. */
function delayInSlot(appId: string, intervalMs: number, groups: number): number {
  const slots = slotsOf(intervalMs);
  if (slots <= 1) return 0;
  const group = Math.floor(((shareOf(appId) * slots) % 1) * groups);
  return (group * intervalMs) / slots / groups;
}

/** A power of two: few apps more or less move nobody, and twice as many halve each group. */
function groupsFor(appsPerSlot: number): number {
  const doublings = Math.floor(Math.log2(appsPerSlot / appsPerGroup));
  return Math.min(mostGroups, 2 ** Math.max(0, doublings));
}

/** 0 ≤ share < 1, evenly distributed over apps. */
function shareOf(appId: string): number {
  return mix32(fnv1a32(appId)) / 2 ** 32;
}

function slotsOf(intervalMs: number): number {
  return Math.floor(intervalMs / slotMs);
}

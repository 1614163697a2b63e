import type { Clock } from '../util/clock.js';

/** More in flight than this gained nothing against a healthy log-cache, and hurts a sick one. */
const ceiling = 200;
/** The limit is looked at again after this time: long enough to see the effect of the last change. */
const periodMs = 1000;
/** A collection slower than this on average means that log-cache is queueing what we send. */
const slowMs = 2000;
/** A larger share of failed collections than this counts as trouble; single broken apps do not. */
const badShare = 0.1;

/** How many collections may be in flight. */
export interface ConcurrencyLimit {
  readonly current: number;
  /** Reports a finished collection. `ok` is false if log-cache failed it. */
  finished(durationMs: number, ok: boolean): void;
  /** Reports that a due collection had to wait for the limit. */
  waited(): void;
}

/** The most collections that are ever in flight. */
export function mostInFlight(floor: number): number {
  return Math.max(floor, ceiling);
}

/**
 * Grows while the limit is what holds collections up and log-cache answers well, and halves as soon as it does not; never
 * below `floor`, and never above 200 unless `floor` is. Until the first trouble it doubles: a process that starts with
 * tens of thousands of apps should not have to catch up for minutes. After that it grows by a quarter.
 */
export function createConcurrencyLimit(clock: Pick<Clock, 'monotonic'>, floor: number): ConcurrencyLimit {
  const top = mostInFlight(floor);
  let current = floor;
  let periodStart = clock.monotonic();
  let count = 0;
  let failed = 0;
  let totalMs = 0;
  let demand = false;
  let hadTrouble = false;

  function adapt(now: number): void {
    const troubled = failed > count * badShare || totalMs > count * slowMs;
    hadTrouble ||= troubled;
    if (troubled) current = Math.max(floor, Math.floor(current / 2));
    else if (demand) current = Math.min(top, current + (hadTrouble ? Math.ceil(current / 4) : current));
    periodStart = now;
    count = failed = totalMs = 0;
    demand = false;
  }

  return {
    get current() {
      return current;
    },
    finished(durationMs, ok) {
      count++;
      totalMs += durationMs;
      if (!ok) failed++;
      const now = clock.monotonic();
      if (now - periodStart >= periodMs) adapt(now);
    },
    waited() {
      demand = true;
    },
  };
}

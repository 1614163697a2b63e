/**
 * Time as the rest of the program sees it. Everything that waits or asks for the time gets a Clock, so that tests
 * can run years in milliseconds and never sleep.
 */
export interface Timer {
  /** Idempotent; a cancelled timer never calls back. */
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. May jump; use it for timestamps that others compare. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. Use it for durations, deadlines and schedules. */
  monotonic(): number;
  /**
   * Calls back once, when delayMs milliseconds of monotonic time have passed: perhaps later, never earlier; soon where
   * delayMs is below 0, because the time has passed. A caller that waits for a wall-clock time has to look at it then.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Calls back after about delayMs, as setTimeout does; the function returned cancels that. */
export type WakeAfter = (delayMs: number, wake: () => void) => () => void;

const monotonic = () => performance.now();
const wakeAfter: WakeAfter = (delayMs, wake) => {
  const handle = setTimeout(wake, delayMs);
  return () => clearTimeout(handle);
};

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic,
  setTimer: punctualTimers(monotonic, wakeAfter),
};

/** If setTimeout is to wait for longer, it wakes at once. It warns on standard error of a wait below 0. */
const longestWaitMs = 2 ** 31 - 1;

/**
 * Timers that are never early. setTimeout is: it cuts fractions of a millisecond, and counts from a time that the event
 * loop has cut as well. A caller that finds its time not come yet would do nothing, and would have no other timer.
 */
export function punctualTimers(monotonic: () => number, wakeAfter: WakeAfter): Clock['setTimer'] {
  return (delayMs, callback) => {
    const dueMs = monotonic() + delayMs;
    let cancel = waitFor(delayMs);
    function waitFor(leftMs: number) {
      return wakeAfter(Math.min(Math.max(0, Math.ceil(leftMs)), longestWaitMs), look);
    }
    function look() {
      const leftMs = dueMs - monotonic();
      if (leftMs > 0) cancel = waitFor(leftMs);
      else callback();
    }
    return { cancel: () => cancel() };
  };
}

/** Resolves after delayMs, or at once (without throwing) when the signal aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Resolves with true when the work has ended (well or not), with false if that takes longer than deadlineMs. */
export function endsWithin(clock: Clock, deadlineMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(deadlineMs, () => resolve(false));
    const ended = () => {
      timer.cancel();
      resolve(true);
    };
    work.then(ended, ended);
  });
}

const nsPerMs = 1_000_000n;

/** Whole milliseconds since the epoch to nanoseconds; fractions of a millisecond are dropped. */
export function msToNs(ms: number): bigint {
  return BigInt(Math.floor(ms)) * nsPerMs;
}

/** Nanoseconds since the epoch to whole milliseconds, rounded down. */
export function nsToMs(ns: bigint): number {
  return Number(ns / nsPerMs);
}

/** Seconds (may have a fraction) to nanoseconds. */
export function secsToNs(secs: number): bigint {
  return BigInt(Math.round(secs * 1000)) * nsPerMs;
}

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
  /** Calls back once after delayMs (≥ 0) milliseconds of monotonic time. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

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
export async function endsWithin(clock: Clock, deadlineMs: number, work: Promise<unknown>): Promise<boolean> {
  const deadline = new AbortController();
  const ended = work.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([ended, sleep(clock, deadlineMs, deadline.signal).then(() => false)]);
  deadline.abort();
  return inTime;
}

const NS_PER_MS = 1_000_000n;

/** Whole milliseconds since the epoch to nanoseconds; fractions of a millisecond are dropped. */
export function msToNs(ms: number): bigint {
  return BigInt(Math.floor(ms)) * NS_PER_MS;
}

/** Nanoseconds since the epoch to whole milliseconds, rounded down. */
export function nsToMs(ns: bigint): number {
  return Number(ns / NS_PER_MS);
}

/** Seconds (may have a fraction) to nanoseconds. */
export function secsToNs(secs: number): bigint {
  return BigInt(Math.round(secs * 1000)) * NS_PER_MS;
}

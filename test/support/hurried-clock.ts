import { punctualTimers, type Clock } from '../../src/util/clock.js';

/** So often, in real milliseconds, the clock looks whether this process gets to run. */
const stepMs = 10;
/** What takes longer between two looks is the machine's doing, and no time for whoever uses the clock. */
const longestStepMs = 20;

export interface HurriedClock extends Clock {
  /** From now on time passes as in life: a deadline of a second is one, however busy the machine is. */
  stopHurrying(): void;
}

/**
 * The system's clock, `speed` times as fast. For tests that need real threads, sockets and servers, which no clock can
 * stop, and that nevertheless must not wait: at speed 10 an outage of a minute lasts six seconds. Whatever takes its
 * time from a clock of its own (other threads, other processes) is not hurried. On a machine that is too busy it goes
 * as slowly as the machine: a process that does not run for a second would otherwise miss ten of them, and every
 * deadline within.
 */
export function hurriedClock(hurriedSpeed: number): HurriedClock {
  let speed = hurriedSpeed;
  const startedAtMs = Date.now();
  let seenAt = performance.now();
  let elapsedMs = 0;
  let waiting = 0;
  let steps: NodeJS.Timeout | undefined;

  const monotonic = () => {
    const now = performance.now();
    const passed = now - seenAt;
    seenAt = now;
    // Nobody looks while nobody waits.
    elapsedMs += (steps ? Math.min(passed, longestStepMs) : passed) * speed;
    return elapsedMs;
  };
  const waits = (change: 1 | -1) => {
    waiting += change;
    if (waiting === 0) {
      clearInterval(steps);
      steps = undefined;
    } else if (!steps) {
      monotonic();
      steps = setInterval(monotonic, stepMs).unref();
    }
  };

  return {
    // Whole milliseconds as of Date.now(): others compute with them.
    now: () => startedAtMs + Math.floor(monotonic()),
    monotonic,
    stopHurrying() {
      monotonic();
      speed = 1;
    },
    // Less than a real millisecond early is `speed` milliseconds early here, which punctualTimers mends all the more.
    setTimer: punctualTimers(monotonic, (delayMs, wake) => {
      let isWaiting = true;
      const end = () => {
        if (isWaiting) waits(-1);
        isWaiting = false;
      };
      waits(1);
      const handle = setTimeout(() => {
        // Who looks and waits on is still waiting.
        wake();
        end();
      }, delayMs / speed);
      return () => {
        clearTimeout(handle);
        end();
      };
    }),
  };
}

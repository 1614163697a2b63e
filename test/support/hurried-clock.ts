import { punctualTimers, type Clock } from '../../src/clock.js';

/**
 * The system's clock, `speed` times as fast. For tests that need real threads, sockets and servers, which no clock can
 * stop, and that nevertheless must not wait: at speed 10 an outage of a minute lasts six seconds. Whatever takes its
 * time from a clock of its own (other threads, other processes) is not hurried.
 */
export function hurriedClock(speed: number): Clock {
  const startedAtMs = Date.now();
  const origin = performance.now();
  const elapsedMs = () => (performance.now() - origin) * speed;
  return {
    // Whole milliseconds as of Date.now(): others compute with them.
    now: () => startedAtMs + Math.floor(elapsedMs()),
    monotonic: elapsedMs,
    // Less than a real millisecond early is `speed` milliseconds early here, which punctualTimers mends all the more.
    setTimer: punctualTimers(elapsedMs, (delayMs, wake) => {
      const handle = setTimeout(wake, delayMs / speed);
      return () => clearTimeout(handle);
    }),
  };
}

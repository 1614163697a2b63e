import { readFileSync } from 'node:fs';

/*
 * Loaded before the eventgenerator (`node --import`), in each of its threads: its wall clock is wrong by what a file
 * says. Monotonic time goes on as it is, as when a real clock is set.
 */

/** A jump is seen after this at the latest. */
const lookEveryMs = 50;
const file = process.env['CHAOS_CLOCK_FILE'];
const realNow = Date.now.bind(Date);
let aheadMs = 0;
let lookedMs = -Infinity;

function now(): number {
  const monotonicMs = performance.now();
  if (file !== undefined && monotonicMs - lookedMs >= lookEveryMs) {
    lookedMs = monotonicMs;
    try {
      const text = readFileSync(file, 'utf8');
      if (text !== '') aheadMs = Number(text); // empty: it is being written
    } catch {
      aheadMs = 0;
    }
  }
  return realNow() + aheadMs;
}

Date.now = now;
globalThis.Date = new Proxy(Date, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
  apply: () => new Date(now()).toString(),
});

import type { Clock } from '../util/clock.js';

/** As often as anyone has a use for it, and so seldom that its cost does not count. */
const sharedForMs = 1_000;

/**
 * Work that costs more than a millisecond, done at most once at a time and once a second however many ask: what one
 * gets, the others of that second get too, also where it fails.
 */
export function shared<T>(clock: Pick<Clock, 'monotonic'>, work: () => Promise<T>): () => Promise<T> {
  let last: { readonly result: Promise<T>; readonly startedMs: number; ended: boolean } | undefined;
  return () => {
    const nowMs = clock.monotonic();
    if (last && (!last.ended || nowMs - last.startedMs < sharedForMs)) return last.result;
    const run = { result: work(), startedMs: nowMs, ended: false };
    const end = () => (run.ended = true);
    run.result.then(end, end);
    last = run;
    return run.result;
  };
}

import type { Clock } from '../util/clock.js';

/** Results are new enough for every caller, and seldom enough to cost little. */
const sharedForMs = 1_000;

/** Does work at most once a second and never twice at the same time: all callers of a second share its result or failure. */
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

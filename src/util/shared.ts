import type { Clock } from './clock.js';

/**
 * Never runs `work` twice at once. Whoever asks while it runs, or within `forMs` after it succeeded (`failedForMs` after it
 * failed), gets the same promise.
 */
export function shared<T>(
  clock: Pick<Clock, 'monotonic'>,
  work: () => Promise<T>,
  forMs = 1_000,
  failedForMs = forMs,
): () => Promise<T> {
  let last: { readonly result: Promise<T>; untilMs: number } | undefined;
  return () => {
    if (last && clock.monotonic() < last.untilMs) return last.result;
    const run = { result: work(), untilMs: Infinity };
    const keepFor = (ms: number) => () => (run.untilMs = clock.monotonic() + ms);
    run.result.then(keepFor(forMs), keepFor(failedForMs));
    last = run;
    return run.result;
  };
}

import { systemClock } from '../util/clock.js';

/** Between two lines. */
const intervalMs = 10_000;

export interface Progress {
  /** One more is done. */
  step(): void;
  end(): void;
}

/** Says on stderr how far the work is, if it takes long. */
export function progress(what: string, total: number): Progress {
  const startedMs = systemClock.monotonic();
  let done = 0;
  let toldMs = startedMs;
  const tell = () => {
    toldMs = systemClock.monotonic();
    const secs = Math.round((toldMs - startedMs) / 1_000);
    process.stderr.write(`${done} of ${total} ${what} after ${secs} s\n`);
  };
  return {
    step() {
      done++;
      if (systemClock.monotonic() - toldMs >= intervalMs) tell();
    },
    end() {
      if (toldMs !== startedMs) tell();
    },
  };
}

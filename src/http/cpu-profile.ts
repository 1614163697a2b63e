import { Session, type Profiler } from 'node:inspector/promises';
import { sleep, type Clock } from '../util/clock.js';

export interface CpuProfiler {
  /** Whether a profile is being taken; only one can be at a time. */
  readonly busy: boolean;
  /** Profiles the main thread for that long, or until the signal aborts. Throws while busy. */
  take(durationMs: number, signal: AbortSignal): Promise<Profiler.Profile>;
}

/** CPU profiles have names of functions and files, and times; never values. */
export function createCpuProfiler(clock: Clock): CpuProfiler {
  let busy = false;
  return {
    get busy() {
      return busy;
    },
    async take(durationMs, signal) {
      if (busy) throw new Error('a CPU profile is being taken already');
      busy = true;
      const session = new Session();
      try {
        session.connect();
        await session.post('Profiler.enable');
        await session.post('Profiler.start');
        await sleep(clock, durationMs, signal);
        const { profile } = await session.post('Profiler.stop');
        return profile;
      } finally {
        session.disconnect();
        busy = false;
      }
    },
  };
}

import { Session, type Profiler } from 'node:inspector/promises';
import { sleep, type Clock } from '../util/clock.js';

/**
 * Profiles the main thread for that long, or until the signal aborts; only one profile can be taken at a time. It has
 * names of functions and files, and times; never values.
 */
export async function takeCpuProfile(
  clock: Clock,
  durationMs: number,
  signal: AbortSignal,
): Promise<Profiler.Profile> {
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
  }
}

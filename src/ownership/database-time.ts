/*
 * Members agree on the moment of a switch by the database's clock. How far that is from a member's own clock is only
 * known within the time that a response took, which is a second and more on a busy machine; several responses together
 * say it to some milliseconds.
 */

/** Own monotonic ms less the database's epoch ms: between these, at some moment from `atMs` of the own clock on. */
export interface ClockOffset {
  readonly lowMs: number;
  readonly highMs: number;
  readonly atMs: number;
}

/** The database's time was `databaseMs` at some moment between the own times. */
export interface Reading {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly databaseMs: number;
}

/** How much two clocks may part in a unit of the own time: either may run 1 % fast or slow. */
const drift = 1.01 / 0.99 - 1;

/** What is known after one more reading. One that contradicts the earlier ones replaces them: the database's clock was set. */
export function offsetAfter(known: ClockOffset | null, reading: Reading): ClockOffset {
  const { startedMs, endedMs, databaseMs } = reading;
  const read = { lowMs: startedMs - databaseMs, highMs: endedMs - databaseMs, atMs: startedMs };
  if (known === null) return read;
  const partedMs = Math.max(0, endedMs - known.atMs) * drift;
  const lowMs = Math.max(read.lowMs, known.lowMs - partedMs);
  const highMs = Math.min(read.highMs, known.highMs + partedMs);
  return lowMs <= highMs ? { lowMs, highMs, atMs: startedMs } : read;
}

/** Own monotonic ms at this time of the database. */
export function ownTime({ lowMs, highMs }: ClockOffset, databaseMs: number): number {
  return databaseMs + (lowMs + highMs) / 2;
}

import { Recording } from '../../src/replay/recording.js';
import type { ReplaySettings } from '../../src/replay/replay.js';
import { msToNs } from '../../src/util/clock.js';
import { settings as evaluationSettings } from '../evaluation/examples.js';

/** Breach durations of 100 s, a cycle every 20 s, a trigger every 50 s at most. */
export const settings: ReplaySettings = { ...evaluationSettings, evaluationIntervalMs: 50_000 };

export const startMs = 1_700_000_000_000;

/** Values from the start on, one a cycle; null is *no data*, undefined a cycle that is missing. */
export function recorded(
  values: readonly (number | null | undefined)[],
  metricType = 'cpu',
  laterNs = 0n,
): Recording {
  const cells = values.flatMap((value, cycle) => {
    if (value === undefined) return [];
    const timestampNs = msToNs(atCycle(cycle)) + laterNs;
    return value === null ? [~timestampNs, 0n] : [timestampNs, BigInt(value)];
  });
  return new Recording(metricType, '%', BigInt64Array.from(cells));
}

export function atCycle(cycle: number): number {
  return startMs + cycle * settings.collectionIntervalMs;
}

/** The same value so many times. */
export function times<T>(count: number, value: T): T[] {
  return new Array<T>(count).fill(value);
}

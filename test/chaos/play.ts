import { usualRecoverySecs, type FaultKind, type RunningFault } from './faults/fault.js';
import type { ChaosOptions } from './options.js';
import type { Random } from './random.js';
import { secondsUntilSeen } from './recovery.js';
import type { Stage } from './stage.js';

/** A fault of a wave: when it begins and ends, in ms from the wave's beginning, and the numbers it draws from. */
export interface PlannedFault {
  readonly kind: FaultKind;
  readonly beginMs: number;
  readonly endMs: number;
  readonly random: Random;
}

/** Between the beginnings of a wave's faults at most. */
const spreadMs = 8_000;
const quickerBy = 20;

/** One wave: faults of different areas that overlap. */
export function planWave(
  kinds: readonly FaultKind[],
  random: Random,
  { atOnce, quick }: Pick<ChaosOptions, 'atOnce' | 'quick'>,
): PlannedFault[] {
  const planned: PlannedFault[] = [];
  const count = random.whole(1, atOnce);
  const scale = quick ? 1 / quickerBy : 1;
  for (let i = 0; i < count; i++) {
    const areas = new Set(planned.map(({ kind }) => areaOf(kind)));
    const choices = kinds.filter((kind) => !areas.has(areaOf(kind)));
    if (choices.length === 0) break;
    const kind = random.pick(choices);
    const beginMs = i === 0 ? 0 : scale * random.between(0, spreadMs);
    const lengthMs = scale * 1000 * random.between(kind.longestSecs / 4, kind.longestSecs);
    planned.push({ kind, beginMs, endMs: beginMs + lengthMs, random: random.fork(i) });
  }
  return planned;
}

function areaOf({ name }: FaultKind): string {
  return name.slice(0, name.indexOf('.'));
}

/** Lets a wave happen; resolves when its last fault has been lifted. */
export async function playWave(
  stage: Stage,
  wave: readonly PlannedFault[],
  ended: AbortSignal,
): Promise<void> {
  await Promise.all(wave.map((planned) => playFault(stage, planned, ended)));
}

async function playFault(
  stage: Stage,
  { kind, beginMs, endMs, random }: PlannedFault,
  ended: AbortSignal,
): Promise<void> {
  await pause(beginMs, ended);
  if (ended.aborted) return;
  const fromMs = Date.now();
  let running: RunningFault | undefined;
  try {
    running = await kind.begin(stage, random);
    stage.progress(`  ${kind.name} (${running.detail}) for ${Math.round((endMs - beginMs) / 1000)} s`);
    await pause(endMs - beginMs, ended);
  } finally {
    await running?.end();
    stage.diary.note({
      name: kind.name,
      detail: running?.detail ?? '',
      fromMs,
      toMs: Date.now() + ((kind.recoverySecs ?? usualRecoverySecs) - usualRecoverySecs) * 1000,
      effects: new Set(kind.effects),
      ...(running?.aheadMs === undefined ? {} : { aheadMs: running.aheadMs }),
      ...(running?.app === undefined ? {} : { app: running.app }),
    });
  }
}

/** How the members came back after a wave. */
export interface Recovery {
  readonly faults: readonly string[];
  /** From the end of the last fault until every app's metrics had been collected and stored again; Infinity: not in time. */
  readonly secs: number;
  /** Some of those that were not, for the reader of a report. */
  readonly missing: readonly string[];
}

/** Starts what has crashed, and waits until every app has been collected since the last fault was lifted. */
export async function recover(
  stage: Stage,
  wave: readonly PlannedFault[],
  ended: AbortSignal,
): Promise<Recovery> {
  const liftedMs = Date.now();
  await restartCrashed(stage);
  const recoverySecs = Math.max(...wave.map(({ kind }) => kind.recoverySecs ?? usualRecoverySecs));
  const withinMs = (stage.options.intervalSecs + recoverySecs) * 1000;
  const { secs, missing } = await secondsUntilSeen(stage, liftedMs, withinMs, ended);
  return { faults: wave.map(({ kind }) => kind.name), secs, missing };
}

/** As the platform does with instances that end by themselves. */
export async function restartCrashed({ members, progress }: Stage): Promise<void> {
  for (const member of members) {
    if (member.isRunning) continue;
    progress(`  member ${member.index} had ended by itself (${String(await member.now.process.ended)})`);
    await member.start();
  }
}

export function pause(ms: number, ended?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      ended?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, ms));
    ended?.addEventListener('abort', done, { once: true });
    if (ended?.aborted) done();
  });
}

import { expect, test } from '@jest/globals';
import { ConcurrencyLimit } from '../../src/collection/plan/concurrency-limit.js';
import { phaseOf } from '../../src/schedule/phases.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';

const intervalMs = 40_000;

interface Run {
  readonly appId: string;
  readonly isLast: boolean;
  readonly atMs: number;
  readonly finish: (answered?: boolean) => void;
}

function harness({ limit = 20, takesMs = 0 }: { limit?: number; takesMs?: number | 'manual' } = {}) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const runs: Run[] = [];
  const active = new Set<string>();
  let mostAtOnce = 0;
  const schedule: Schedule = new Schedule({
    clock,
    intervalMs,
    limit: new ConcurrencyLimit(clock, limit),
    metrics,
    run: async (appId, isLast) => {
      if (active.has(appId)) throw new Error(`${appId} runs twice at once`);
      active.add(appId);
      mostAtOnce = Math.max(mostAtOnce, active.size);
      const answered = await new Promise<boolean>((resolve) => {
        runs.push({ appId, isLast, atMs: clock.monotonic(), finish: (ok = true) => resolve(ok) });
        if (takesMs === 0) resolve(true);
        else if (takesMs !== 'manual') clock.setTimer(takesMs, () => resolve(true));
      });
      active.delete(appId);
      return answered;
    },
  });
  const runsOf = (appId: string) => runs.filter((run) => run.appId === appId).map((run) => run.atMs);
  return { clock, metrics, schedule, runs, runsOf, mostAtOnce: () => mostAtOnce };
}

function apps(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `app-${i}`);
}

test('every app runs once per interval, at its own phase', async () => {
  const { clock, schedule, runs, runsOf } = harness();
  schedule.add(apps(200));
  await clock.advance(intervalMs * 3);
  expect(runs).toHaveLength(600);
  for (const appId of apps(200)) {
    const [first, second, third] = runsOf(appId);
    expect(second! - first!).toBe(intervalMs);
    expect(third! - second!).toBe(intervalMs);
  }
});

test('the apps are spread over the interval instead of starting in one burst', async () => {
  const { clock, schedule, runs } = harness();
  schedule.add(apps(4000));
  await clock.advance(intervalMs);
  const perSecond = new Map<number, number>();
  for (const run of runs) {
    const second = Math.floor(run.atMs / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  expect(perSecond.size).toBeGreaterThanOrEqual(40);
  expect(Math.max(...perSecond.values())).toBeLessThan(200);
});

test('the apps of a slot begin in groups, spread over the slot, each at the same time of every turn', async () => {
  const { clock, schedule, runs } = harness();
  const slotMs = 500;
  schedule.add(apps(4000));
  await clock.advance(intervalMs * 2 + slotMs - 1);
  const timesInSlot = new Map<number, number>();
  const timesOf = new Map<string, number[]>();
  for (const { appId, atMs } of runs) {
    timesOf.set(appId, [...(timesOf.get(appId) ?? []), atMs]);
    const inSlot = (clock.now() - clock.monotonic() + atMs - phaseOf(appId, intervalMs)) % intervalMs;
    timesInSlot.set(inSlot, (timesInSlot.get(inSlot) ?? 0) + 1);
  }
  // Fifty apps in each slot: four groups of twelve.
  expect([...timesInSlot.keys()].sort((a, b) => a - b)).toEqual([0, 125, 250, 375]);
  for (const count of timesInSlot.values()) expect(count).toBeGreaterThan((8000 / 4) * 0.9);
  expect(timesOf.size).toBe(4000);
  const distances = [...timesOf.values()].map(([first, second]) => second! - first!);
  expect(new Set(distances)).toEqual(new Set([intervalMs]));
});

test('few apps are not spread: those of a slot share queries', async () => {
  const { clock, schedule, runs } = harness();
  schedule.add(apps(1000));
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(1000);
  for (const { appId, atMs } of runs) {
    expect((clock.now() - clock.monotonic() + atMs - phaseOf(appId, intervalMs)) % intervalMs).toBe(0);
  }
});

test('a second schedule made later gives an app the same phase, so that a new owner keeps its rhythm', async () => {
  const { clock, schedule, runsOf } = harness();
  schedule.add(['app']);
  await clock.advance(intervalMs);
  const later: number[] = [];
  const second = new Schedule({
    clock,
    intervalMs,
    limit: new ConcurrencyLimit(clock, 1),
    metrics: createMetrics(),
    run: async () => {
      later.push(clock.monotonic());
      return true;
    },
  });
  second.add(['app']);
  await clock.advance(intervalMs);
  expect(later[0]! - runsOf('app')[0]!).toBe(intervalMs);
});

test('an owner that comes late to its apps makes up for the turns it missed, at most one each', async () => {
  const { clock, schedule, runs, runsOf } = harness();
  await clock.advance(3 * intervalMs);
  const sinceMs = clock.monotonic() - 5_000;
  schedule.add(apps(200), sinceMs);
  await clock.advance(0);
  const atOnce = runs.length;
  expect(atOnce).toBeGreaterThan(200 * 0.05);
  expect(atOnce).toBeLessThan(200 * 0.25);
  await clock.advance(intervalMs - 5_000);
  for (const appId of apps(200)) expect(runsOf(appId)).toHaveLength(1);

  const frozen = harness();
  await frozen.clock.advance(3 * intervalMs);
  frozen.schedule.add(apps(200), 0);
  await frozen.clock.advance(0);
  for (const appId of apps(200)) expect(frozen.runsOf(appId).length).toBeLessThanOrEqual(1);
});

test('no more cycles run at once than the limit allows, and the most overdue app goes first', async () => {
  const { clock, schedule, runs, mostAtOnce } = harness({ limit: 2, takesMs: 'manual' });
  schedule.add(apps(50));
  await clock.advance(intervalMs - 1);
  expect(mostAtOnce()).toBe(2);
  expect(runs).toHaveLength(2);
  for (let i = 0; i < 50; i++) {
    runs[i]!.finish();
    await clock.advance(0);
  }
  const { clock: freeClock, schedule: free, runs: freeRuns } = harness({ limit: 1000 });
  free.add(apps(50));
  await freeClock.advance(intervalMs - 1);
  const order = (list: Run[]) => list.slice(0, 50).map((run) => run.appId);
  expect(new Set(order(runs))).toEqual(new Set(order(freeRuns)));
  expect(order(runs).slice(0, 20)).toEqual(order(freeRuns).slice(0, 20));
});

test('cycles that cannot be kept up with are skipped and counted, never piled up', async () => {
  const { clock, schedule, runsOf, metrics } = harness({ takesMs: intervalMs * 2.5 });
  schedule.add(['slow']);
  await clock.advance(intervalMs * 9);
  const started = runsOf('slow');
  expect(started[1]! - started[0]!).toBe(intervalMs * 3);
  const skipped = await metrics.collectionsSkipped.get();
  expect(skipped.values[0]!.value).toBe(2 * (started.length - 1));
});

test('the lag metric tells how late a cycle started', async () => {
  const { clock, schedule, runs, metrics } = harness({ limit: 1, takesMs: 'manual' });
  schedule.add(apps(2));
  await clock.advance(intervalMs - 1);
  runs[0]!.finish();
  await clock.advance(0);
  const { values } = await metrics.collectionLagSeconds.get();
  const sum = values.find((value) => value.metricName?.endsWith('_sum'))!.value;
  expect(runs).toHaveLength(2);
  expect(sum).toBeGreaterThan(0);
});

test('an app that is gone is not started again, and one that comes back while it runs is not started twice', async () => {
  const { clock, schedule, runs } = harness({ takesMs: 'manual' });
  schedule.add(['app']);
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(1);
  schedule.remove(['app']);
  schedule.add(['app']);
  await clock.advance(intervalMs * 2);
  expect(runs).toHaveLength(1);
  runs[0]!.finish();
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(2);
  runs[1]!.finish();
  schedule.remove(['app']);
  await clock.advance(intervalMs * 3);
  expect(runs).toHaveLength(2);
  expect(clock.pendingTimers).toBe(0);
});

test('a turn that was due when the app went to another owner is still made, once, also while stopping', async () => {
  const { clock, schedule, runs } = harness({ limit: 1, takesMs: 'manual' });
  schedule.add(apps(3));
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(1);
  const untilMs = clock.monotonic();
  schedule.remove(apps(3), untilMs);
  runs[0]!.finish();
  await clock.advance(0);
  expect(runs).toHaveLength(2);
  const stopped = schedule.stop();
  runs[1]!.finish();
  await clock.advance(0);
  expect(runs).toHaveLength(3);
  runs[2]!.finish();
  await stopped;
  expect(runs.map(({ isLast }) => isLast)).toEqual([false, true, true]);
  expect(new Set(runs.map(({ appId }) => appId)).size).toBe(3);
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(3);
  expect(clock.pendingTimers).toBe(0);
});

test('a turn that was due later is the new owner’s, and an app that comes back has no last turn', async () => {
  const { clock, schedule, runs, runsOf } = harness({ limit: 1, takesMs: 'manual' });
  schedule.add(apps(2));
  await clock.advance(intervalMs);
  schedule.remove(apps(2), 0);
  runs[0]!.finish();
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(1);

  schedule.add(apps(2));
  await clock.advance(intervalMs);
  const untilMs = clock.monotonic();
  schedule.remove(apps(2), untilMs);
  schedule.add(apps(2), untilMs);
  runs[1]!.finish();
  await clock.advance(0);
  expect(runs).toHaveLength(3);
  expect(runs[2]!.isLast).toBe(false);
  runs[2]!.finish();
  await clock.advance(0);
  expect([...apps(2)].map((appId) => runsOf(appId).length).sort()).toEqual([1, 2]);
});

test('a turn belongs to whoever owns the app when it begins, also where it starts later in its slot', async () => {
  const old = harness();
  const next = harness();
  const all = apps(4000);
  old.schedule.add(all);
  await old.clock.advance(intervalMs + 10_250);
  await next.clock.advance(intervalMs + 10_250);
  const turnMs = old.clock.monotonic();
  const before = old.runs.length;
  old.schedule.remove(all, turnMs);
  next.schedule.add(all, turnMs);
  await old.clock.advance(intervalMs);
  await next.clock.advance(intervalMs + 200);
  const last = old.runs.slice(before);
  expect(last.length).toBeGreaterThan(10);
  expect(last.every(({ isLast }) => isLast)).toBe(true);
  expect(last.every(({ atMs }) => atMs < turnMs + 250)).toBe(true);
  // Within one interval each app has one turn: the old owner's last ones had begun before.
  expect(next.runs).toHaveLength(4000);
  for (const { appId, atMs } of last) expect(next.runsOf(appId)[0]! - atMs).toBe(intervalMs);
});

test('stop makes the turns that have begun, also those that start later in their slot', async () => {
  const { clock, metrics, schedule, runs } = harness();
  schedule.add(apps(4000));
  await clock.advance(intervalMs + 10_250);
  const before = runs.length;
  schedule.remove(apps(4000), clock.monotonic());
  await schedule.stop();
  const last = runs.slice(before);
  expect(last.length).toBeGreaterThan(10);
  expect(last.every(({ isLast }) => isLast)).toBe(true);
  await clock.advance(intervalMs);
  expect(runs).toHaveLength(before + last.length);
  expect(clock.pendingTimers).toBe(0);
  const lag = (await metrics.collectionLagSeconds.get()).values;
  expect(lag.find(({ metricName }) => metricName?.endsWith('_sum'))?.value).toBeGreaterThanOrEqual(0);
});

test('an additional run between the beginning of a turn and its start takes its place', async () => {
  const { clock, schedule, runs, runsOf } = harness();
  schedule.add(apps(4000));
  await clock.advance(intervalMs);
  const { appId, atMs } = runs.find((run) => run.atMs % 500 === 375)!;
  await clock.advance(atMs + intervalMs - 300 - clock.monotonic());
  schedule.runWithin(appId, 100);
  const untilMs = clock.monotonic();
  await clock.advance(50);
  schedule.remove(apps(4000), untilMs);
  await clock.advance(intervalMs);
  expect(runsOf(appId)).toEqual([atMs, atMs + intervalMs - 200]);
  expect(runs.at(-1)!.isLast).toBe(true);
});

test('an additional run comes at its time and does not shift the regular turns', async () => {
  const { clock, schedule, runsOf } = harness();
  schedule.add(['app']);
  await clock.advance(intervalMs);
  const [first] = runsOf('app');
  const rest = first! + intervalMs - clock.monotonic();
  schedule.runWithin('app', rest / 2);
  await clock.advance(rest);
  expect(runsOf('app')).toEqual([first, first! + intervalMs - rest / 2, first! + intervalMs]);
});

test('an additional run asked for during a cycle follows it', async () => {
  const { clock, schedule, runs } = harness({ takesMs: 'manual' });
  schedule.add(['app']);
  await clock.advance(intervalMs);
  schedule.runWithin('app', 1000);
  await clock.advance(2000);
  expect(runs).toHaveLength(1);
  runs[0]!.finish();
  await clock.advance(0);
  expect(runs).toHaveLength(2);
});

test('stop waits for the cycles under way and starts no more', async () => {
  const { clock, schedule, runs } = harness({ takesMs: 'manual' });
  schedule.add(apps(2));
  await clock.advance(intervalMs);
  let stopped = false;
  const stopping = schedule.stop().then(() => (stopped = true));
  runs[0]!.finish();
  await clock.advance(0);
  expect(stopped).toBe(false);
  runs[1]!.finish();
  await stopping;
  await schedule.stop();
  await clock.advance(intervalMs * 2);
  expect(runs).toHaveLength(2);
});

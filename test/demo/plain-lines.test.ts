import { expect, test } from '@jest/globals';
import { appState, demoState, pointsUntil, startedMs } from './examples.js';
import { plainLines } from './plain-lines.js';

const nowMs = startedMs + 20_000;
const quiet = { outcome: 'not-fired', atMs: nowMs, reasons: ['not-breached', 'not-breached'] } as const;
const within = appState({ evaluation: quiet, points: pointsUntil(nowMs, 50) });

test('an app has a line when it is first evaluated, and when its decision or its instances change', () => {
  const first = demoState({ apps: [within] });
  expect(plainLines(demoState({ apps: [appState()] }), first)).toEqual([
    ' 20.0 s  spike      2 (1-10)  throughput   50 rps   (20-80)  kept: within limits',
  ]);
  const breached = demoState({ apps: [{ ...within, points: pointsUntil(nowMs, 50, 90) }] });
  expect(plainLines(first, breached)).toEqual([
    ' 20.0 s  spike      2 (1-10)  throughput   90 rps   (20-80)  breached 1 of 5 s',
  ]);
  const scaled = demoState({ apps: [{ ...within, instances: 3 }] });
  expect(plainLines(first, scaled)).toEqual([expect.stringContaining('spike      3 (1-10)')]);
});

test('another value is no reason for a line, nor is one more second of a breach', () => {
  const before = demoState({ apps: [{ ...within, points: pointsUntil(nowMs, 50, 90) }] });
  const after = demoState({
    nowMs: nowMs + 1000,
    apps: [{ ...within, points: pointsUntil(nowMs + 1000, 50, 90, 95) }],
  });
  expect(plainLines(before, after)).toEqual([]);
});

test('what is going on has a line when it changes', () => {
  const starting = demoState({ nowMs: startedMs, activity: 'Starting PostgreSQL' });
  expect(plainLines(undefined, starting)).toEqual(['  0.0 s  Starting PostgreSQL']);
  expect(plainLines(starting, starting)).toEqual([]);
});

test('trouble is told once', () => {
  const trouble = demoState({ trouble: 'No values come.' });
  expect(plainLines(demoState(), trouble)).toEqual([' 20.0 s  No values come.']);
  expect(plainLines(trouble, trouble)).toEqual([]);
});

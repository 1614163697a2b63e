import { expect, test } from '@jest/globals';
import {
  endsWithin,
  msToNs,
  nsToMs,
  punctualTimers,
  secsToNs,
  sleep,
  systemClock,
} from '../../src/util/clock.js';
import { hurriedClock } from '../support/hurried-clock.js';
import { ManualClock } from '../support/manual-clock.js';

test('nanoseconds and milliseconds convert without loss', () => {
  expect(msToNs(1_755_700_000_123.9)).toBe(1_755_700_000_123_000_000n);
  expect(nsToMs(1_755_700_000_123_999_999n)).toBe(1_755_700_000_123);
  expect(secsToNs(1.5)).toBe(1_500_000_000n);
});

test('sleep ends with its time or with its signal, and leaves no timer', async () => {
  const clock = new ManualClock();
  const ended: string[] = [];
  const abort = new AbortController();
  const both = Promise.all([
    sleep(clock, 100).then(() => ended.push('time')),
    sleep(clock, 1000, abort.signal).then(() => ended.push('signal')),
  ]);
  await clock.advance(100);
  expect(ended).toEqual(['time']);
  abort.abort();
  await both;
  await sleep(clock, 1000, abort.signal);
  expect(clock.pendingTimers).toBe(0);
});

test('work is waited for until its deadline, whether it ends well or not', async () => {
  const clock = new ManualClock();
  expect(await endsWithin(clock, 100, Promise.resolve())).toBe(true);
  expect(await endsWithin(clock, 100, Promise.reject(new Error('broken')))).toBe(true);
  const late = endsWithin(clock, 100, new Promise(() => {}));
  await clock.advance(100);
  expect(await late).toBe(false);
  expect(clock.pendingTimers).toBe(0);
});

test.each([
  ['the system clock', systemClock],
  ['a hurried clock', hurriedClock(10)],
  ['a manual clock', new ManualClock()],
])('a timer of %s is never early', async (_name, clock) => {
  const late: number[] = [];
  const timers = Array.from({ length: 200 }, (_, i) => {
    const delayMs = 1 + i * 0.13;
    const dueMs = clock.monotonic() + delayMs;
    return new Promise<void>((resolve) =>
      clock.setTimer(delayMs, () => {
        late.push(clock.monotonic() - dueMs);
        resolve();
      }),
    );
  });
  if (clock instanceof ManualClock) for (let ms = 0; ms < 30; ms += 0.7) await clock.advance(0.7);
  await Promise.all(timers);
  expect(late.filter((ms) => ms < 0)).toEqual([]);
});

test('a timer is cancelled also where it was woken too early, and waits longer than setTimeout can', () => {
  let nowMs = 0.9;
  const waits: { delayMs: number; wake: () => void }[] = [];
  const setTimer = punctualTimers(
    () => nowMs,
    (delayMs, wake) => {
      const wait = { delayMs, wake };
      waits.push(wait);
      return () => void waits.splice(waits.indexOf(wait), 1);
    },
  );
  const fired: number[] = [];
  const advance = (ms: number) => {
    nowMs += ms;
    for (const { wake } of waits.splice(0)) wake();
  };
  const early = setTimer(10.5, () => fired.push(nowMs));
  advance(10);
  expect(waits.map(({ delayMs }) => delayMs)).toEqual([1]);
  early.cancel();
  expect(waits).toEqual([]);

  setTimer(2 ** 32, () => fired.push(nowMs));
  for (let i = 0; i < 3; i++) {
    expect(waits[0]?.delayMs).toBeLessThan(2 ** 31);
    advance(waits[0]?.delayMs ?? 0);
  }
  expect(fired).toEqual([10.9 + 2 ** 32]);
});

test('a time that has passed is not waited for, and setTimeout is not asked for less than nothing', () => {
  const delays: number[] = [];
  const setTimer = punctualTimers(
    () => 100,
    (delayMs, wake) => {
      delays.push(delayMs);
      wake();
      return () => {};
    },
  );
  let fired = 0;
  setTimer(-19.5, () => fired++);
  expect([delays, fired]).toEqual([[0], 1]);
});

import { expect, test } from '@jest/globals';
import { endsWithin, msToNs, nsToMs, secsToNs, sleep } from '../src/clock.js';
import { ManualClock } from './support/manual-clock.js';

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

import { beforeEach, expect, test } from '@jest/globals';
import { createConcurrencyLimit, type ConcurrencyLimit } from '../../src/schedule/concurrency-limit.js';
import { ManualClock } from '../support/manual-clock.js';

let clock: ManualClock;
let limit: ConcurrencyLimit;

beforeEach(() => {
  clock = new ManualClock();
  limit = createConcurrencyLimit(clock, 20);
});

/** One period, with what happens in it; the limit after it. */
async function period(happens: () => void = () => {}): Promise<number> {
  happens();
  await clock.advance(1000);
  limit.finished(10, true);
  return limit.current;
}

const collectionsWait = () => limit.waited();
const failing = () => limit.finished(0, false);
const slow = () => limit.finished(10_000, true);

test('it doubles up to 200 while collections wait for it, and stays where nothing waits', async () => {
  expect(await period()).toBe(20);
  expect(await period(collectionsWait)).toBe(40);
  expect(await period()).toBe(40);
  expect(await period(collectionsWait)).toBe(80);
  expect(await period(collectionsWait)).toBe(160);
  expect(await period(collectionsWait)).toBe(200);
  expect(await period(collectionsWait)).toBe(200);
});

test('it halves when log-cache fails or is slow, never below its floor', async () => {
  for (let i = 0; i < 5; i++) await period(collectionsWait);
  expect(await period(failing)).toBe(100);
  expect(await period(slow)).toBe(50);
  for (let i = 0; i < 5; i++) await period(failing);
  expect(limit.current).toBe(20);
});

test('after trouble it grows by a quarter at a time', async () => {
  await period(failing);
  expect(await period(collectionsWait)).toBe(25);
  expect(await period(collectionsWait)).toBe(32);
  for (let i = 0; i < 30; i++) await period(collectionsWait);
  expect(limit.current).toBe(200);
});

test('single failures are no trouble', async () => {
  for (let i = 0; i < 20; i++) limit.finished(10, true);
  expect(
    await period(() => {
      collectionsWait();
      failing();
    }),
  ).toBe(40);
});

test('a floor above 200 is the limit', async () => {
  limit = createConcurrencyLimit(clock, 500);
  expect(await period(collectionsWait)).toBe(500);
  expect(await period(failing)).toBe(500);
});

import { beforeEach, expect, test } from '@jest/globals';
import { ConcurrencyLimit } from '../../../src/collection/plan/concurrency-limit.js';
import { ManualClock } from '../../support/manual-clock.js';

let clock: ManualClock;
let limit: ConcurrencyLimit;

beforeEach(() => {
  clock = new ManualClock();
  limit = new ConcurrencyLimit(clock, 20);
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

test('it doubles up to 400 while collections wait for it, and stays where nothing waits', async () => {
  expect(await period()).toBe(20);
  expect(await period(collectionsWait)).toBe(40);
  expect(await period()).toBe(40);
  expect(await period(collectionsWait)).toBe(80);
  expect(await period(collectionsWait)).toBe(160);
  expect(await period(collectionsWait)).toBe(320);
  expect(await period(collectionsWait)).toBe(400);
  expect(await period(collectionsWait)).toBe(400);
});

test('it halves when log-cache fails or is slow, never below its floor', async () => {
  for (let i = 0; i < 5; i++) await period(collectionsWait);
  expect(await period(failing)).toBe(200);
  expect(await period(slow)).toBe(100);
  for (let i = 0; i < 5; i++) await period(failing);
  expect(limit.current).toBe(20);
});

test('after trouble it grows by a quarter at a time', async () => {
  await period(failing);
  expect(await period(collectionsWait)).toBe(25);
  expect(await period(collectionsWait)).toBe(32);
  for (let i = 0; i < 30; i++) await period(collectionsWait);
  expect(limit.current).toBe(400);
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

test('a floor above 400 is the limit', async () => {
  limit = new ConcurrencyLimit(clock, 500);
  expect(await period(collectionsWait)).toBe(500);
  expect(await period(failing)).toBe(500);
});

test('a tenth of failures, and two seconds on average, are no trouble yet', async () => {
  for (let i = 0; i < 8; i++) limit.finished(2_000, true);
  collectionsWait();
  limit.finished(2_000, false);
  await clock.advance(1000);
  limit.finished(2_000, true);
  expect(limit.current).toBe(40);
});

test('half of an odd limit is rounded down', async () => {
  await period(failing);
  for (const grown of [25, 32, 40, 50, 63]) expect(await period(collectionsWait)).toBe(grown);
  expect(await period(failing)).toBe(31);
});

test('a period lasts a second', async () => {
  collectionsWait();
  await clock.advance(999);
  limit.finished(10, true);
  expect(limit.current).toBe(20);
  await clock.advance(1);
  limit.finished(10, true);
  expect(limit.current).toBe(40);
});

import { expect, test } from '@jest/globals';
import { delayInSlot, groupsFor, phaseOf } from '../../src/schedule/phases.js';

const intervalMs = 40_000;
const apps = Array.from({ length: 4_000 }, (_, i) => `app-${i}`);

test.each([
  [0, 1],
  [1, 1],
  // Ten apps make a group, and an interval of 40 s has eighty slots.
  [80 * 20 - 1, 1],
  [80 * 20, 2],
  [80 * 40 - 1, 2],
  [80 * 40, 4],
  [80 * 319, 16],
  [80 * 320, 32],
  [80 * 640, 32],
])('%i apps begin in %i groups in each slot', (count, groups) => {
  expect(groupsFor(count, intervalMs)).toBe(groups);
});

test('apps share slots of half a second where the interval has two or more of them', () => {
  expect(new Set(apps.map((app) => phaseOf(app, 1_000)))).toEqual(new Set([0, 500]));
  expect(new Set(apps.map((app) => phaseOf(app, 999))).size).toBeGreaterThan(3_900);
  expect(new Set(apps.map((app) => phaseOf(app, 1_000) + delayInSlot(app, 1_000, 2)))).toEqual(
    new Set([0, 250, 500, 750]),
  );
  expect(apps.every((app) => delayInSlot(app, 999, 2) === 0)).toBe(true);
});

test('a slot begins within the interval, and a group within its slot', () => {
  const misplaced = apps.filter(
    (app) =>
      phaseOf(app, intervalMs) >= intervalMs ||
      phaseOf(app, intervalMs) % 500 !== 0 ||
      delayInSlot(app, intervalMs, 32) >= 500 ||
      delayInSlot(app, intervalMs, 1) !== 0,
  );
  expect(misplaced).toEqual([]);
});

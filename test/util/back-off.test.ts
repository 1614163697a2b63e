import { expect, test } from '@jest/globals';
import { backOff } from '../../src/util/back-off.js';

test('doubles with each failure up to the longest delay, however many there are', () => {
  expect([1, 2, 3, 4, 5, 2000].map((failures) => backOff(100, 1000, failures))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
});

test('takes off up to half at random', () => {
  expect(backOff(100, 1000, 3, () => 0)).toBe(400);
  expect(backOff(100, 1000, 3, () => 0.5)).toBe(300);
  expect(backOff(100, 1000, 9, () => 1)).toBe(500);
});

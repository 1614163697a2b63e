import { expect, test } from '@jest/globals';
import { chart } from '../../src/cli/chart.js';

const points = (...values: (bigint | null)[]) =>
  values.map((value, age) => ({ timestampNs: BigInt(1_000 - age), value }));

test('values rise to the threshold and beyond, newest on the right', () => {
  expect(chart(points(100n, 80n, null, 10n, 0n), 80n, 10)).toEqual([
    '────█ 80',
    '   ██',
    '   ██',
    '   ██',
    '▁▄·██',
  ]);
});

test('only the newest are shown, and negative values and thresholds do not break it', () => {
  expect(chart(points(5n, 5n, 5n), 4n, 2).every((line) => line.length <= 4)).toBe(true);
  expect(chart(points(-5n), -10n, 10)).toHaveLength(5);
  expect(chart(points(2n ** 63n - 1n), 2n ** 62n, 10).at(-1)).toContain('█');
});

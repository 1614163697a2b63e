import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fitsInt64, Mean } from '../../../src/collection/worker/mean.js';

const integers = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(-(2 ** 63), 2 ** 63 - 1024, 2 ** 53, -(2 ** 53), Number.MAX_SAFE_INTEGER),
);

function meanOf(values: readonly number[]): Mean {
  const mean = new Mean();
  for (const value of values) mean.add(value);
  return mean;
}

/** The least integer that is not below the mean, found by definition: n·m ≥ sum > n·(m−1). */
function isCeilOfMean(m: bigint, values: readonly number[]): boolean {
  const sum = values.map(BigInt).reduce((a, b) => a + b, 0n);
  const n = BigInt(values.length);
  return n * m >= sum && n * (m - 1n) < sum;
}

test('the mean is exact and rounded up, also where sums leave the safe range', () => {
  fc.assert(
    fc.property(fc.array(integers, { minLength: 1, maxLength: 50 }), (values) => {
      const m = meanOf(values).ceil();
      return m !== null && isCeilOfMean(m, values);
    }),
  );
});

test('means of parts merge into the mean of the whole', () => {
  fc.assert(
    fc.property(fc.array(integers), fc.array(integers), (a, b) => {
      const merged = meanOf(a);
      merged.merge(meanOf(b));
      expect(merged.count).toBe(a.length + b.length);
      expect(merged.ceil()).toBe(meanOf([...a, ...b]).ceil());
    }),
  );
});

test('nothing has no mean', () => {
  expect(new Mean().ceil()).toBeNull();
});

test.each([
  [NaN, false],
  [Infinity, false],
  [-Infinity, false],
  [2 ** 63, false],
  [1.8e19, false],
  [2 ** 63 - 1024, true],
  [-(2 ** 63), true],
  [-(2 ** 63) - 2048, false],
  [0.5, true],
])('%d fits int64: %s', (value, fits) => {
  expect(fitsInt64(value)).toBe(fits);
});

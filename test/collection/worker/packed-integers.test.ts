import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { packIntegers, unpackIntegers } from '../../../src/collection/worker/packed-integers.js';

test('integers come back as they were', () => {
  const integers = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.integer({ min: -200, max: 200 }));
  fc.assert(
    fc.property(fc.array(integers, { maxLength: 300 }), (some) => {
      expect(unpackIntegers(packIntegers(some))).toEqual(some);
    }),
  );
});

test.each([
  [0, 1],
  [63, 1],
  [-63, 1],
  [64, 2],
  [8191, 2],
  [8192, 3],
  [Number.MAX_SAFE_INTEGER, 8],
  [Number.MIN_SAFE_INTEGER, 8],
])('%d takes %d bytes', (integer, bytes) => {
  const packed = packIntegers([integer]);
  expect(packed).toHaveLength(bytes);
  expect(unpackIntegers(packed)).toEqual([integer]);
});

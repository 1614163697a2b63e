import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { offsetAfter, ownTime, type ClockOffset, type Reading } from '../../src/ownership/database-time.js';

test('a quick response says what a slow one does not', () => {
  const quick = offsetAfter(null, { startedMs: 1_000, endedMs: 1_004, databaseMs: 501_003 });
  const slow = offsetAfter(quick, { startedMs: 3_000, endedMs: 4_500, databaseMs: 503_010 });
  expect(ownTime(quick, 501_003)).toBe(1_002);
  // The middle of what the response took is 741 ms off; two clocks part by 2 % of the time since the quick one.
  expect(Math.abs(ownTime(slow, 503_010) - 3_009)).toBeLessThan(70);
});

test('a database whose clock was set is believed at once', () => {
  const before = offsetAfter(null, { startedMs: 1_000, endedMs: 1_004, databaseMs: 501_003 });
  const set = offsetAfter(before, { startedMs: 3_000, endedMs: 3_010, databaseMs: 900_000 });
  expect(ownTime(set, 900_000)).toBe(3_005);
});

test('whatever the responses took, the true time lies between the bounds, which never part again', () => {
  const delayMs = fc.double({ min: 0, max: 2_000, noNaN: true });
  const readings = fc.array(fc.record({ waitMs: delayMs, thereMs: delayMs, backMs: delayMs }), {
    minLength: 1,
  });
  const rate = fc.double({ min: 0.99, max: 1.01, noNaN: true });
  fc.assert(
    fc.property(readings, rate, rate, (all, ownRate, databaseRate) => {
      let trueMs = 0;
      let known: ClockOffset | null = null;
      for (const { waitMs, thereMs, backMs } of all) {
        const startedMs = (trueMs += waitMs) * ownRate;
        const arrivedMs = (trueMs += thereMs);
        const endedMs = (trueMs += backMs) * ownRate;
        const reading: Reading = { startedMs, endedMs, databaseMs: 1e12 + arrivedMs * databaseRate };
        known = offsetAfter(known, reading);
        const isMs = ownTime(known, reading.databaseMs);
        // The sum of a large and a small double is exact to a few thousandths of a millisecond.
        const halfMs = (known.highMs - known.lowMs) / 2 + 0.01;
        expect(Math.abs(isMs - arrivedMs * ownRate)).toBeLessThanOrEqual(
          halfMs + 0.02 * (endedMs - startedMs),
        );
        expect(halfMs).toBeLessThanOrEqual((endedMs - startedMs) / 2 + 0.02);
      }
    }),
    {
      examples: [
        // The clocks part while a response is on its way, too.
        [
          [
            { waitMs: 0, thereMs: 0, backMs: 0.5 },
            { waitMs: 0, thereMs: 0, backMs: 0.01 },
          ],
          0.99,
          1.01,
        ],
      ],
    },
  );
});

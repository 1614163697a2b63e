import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  breachTerms,
  earliestFiringTime,
  judge,
  type BreachTerms,
} from '../../src/evaluation/breach-rule.js';
import { breachDurationSecs } from '../../src/policy/policy.js';
import { PointMemory } from '../../src/history/point-memory.js';
import { Ring } from '../../src/history/ring.js';
import { atNs, outRule, seriesOf, settings, steady, type Ages } from './examples.js';

const terms = breachTerms(outRule, settings); // > 80 for 100 s, an app metric every 20 s

describe('a rule with a breach duration of 100 s', () => {
  test.each<[string, string, Ages]>([
    ['fires', 'when all breach and one is older', steady(81n)],
    [
      'fires',
      'at the very start of the breach duration, both ends included',
      { 0: 81n, 50: 81n, 100: 81n, 101: 0n },
    ],
    ['not-breached', 'while the app metric at the very start does not breach', { ...steady(81n), 100: 80n }],
    ['fires', 'right after the last one that did not breach', { ...steady(81n), 100: 81n, 101: 80n }],
    ['not-breached', 'when the newest does not breach', { ...steady(81n), 0: 80n }],
    ['fires', 'when the one before is no data', { 0: 81n, 40: 81n, 80: 81n, 110: null }],
    ['fires', 'when the one before did not breach', { 0: 81n, 40: 81n, 80: 81n, 110: 0n }],
    ['fires', 'when the one before is just two breach durations old', { 0: 81n, 40: 81n, 80: 81n, 200: 0n }],
    ['not-enough-samples', 'when the one before is older than that', { 0: 81n, 40: 81n, 80: 81n, 201: 81n }],
    ['not-enough-samples', 'with fewer than 60 % of the expected', { 0: 81n, 40: 81n, 110: 81n }],
    ['not-enough-samples', 'without any app metric in the breach duration', { 110: 81n }],
    ['no-data', 'with one no data among breaching values', { ...steady(81n), 40: null }],
    ['no-data', 'with nothing but no data', steady(null)],
    [
      'not-breached',
      'when no data and a value on the right side stand side by side',
      { ...steady(null), 60: 80n },
    ],
    ['not-enough-samples', 'without history', {}],
  ])('%s %s', (expected, _, ages) => {
    expect(judge(seriesOf(ages), terms, atNs)).toBe(expected);
  });

  test('has not enough samples where there is no history at all', () => {
    expect(judge(undefined, terms, atNs)).toBe('not-enough-samples');
  });

  test('does not look at app metrics newer than the time it is judged at', () => {
    expect(judge(seriesOf({ ...steady(81n), 0: 0n }), terms, atNs - 1n)).toBe('fires');
  });
});

describe('a rule with a breach duration below two intervals', () => {
  const short = { ...terms, breachDurationNs: 60_000_000_000n, intervalNs: 40_000_000_000n };

  test('needs two app metrics, as one may be wrong', () => {
    expect(judge(seriesOf({ 0: 81n, 80: 0n }), short, atNs)).toBe('not-enough-samples');
    expect(judge(seriesOf({ 0: 81n, 40: 81n, 80: 0n }), short, atNs)).toBe('fires');
  });

  test('needs them at least half an interval apart, as both may be wrong in the same way', () => {
    expect(judge(seriesOf({ 0: 81n, 19: 81n, 80: 0n }), short, atNs)).toBe('not-enough-samples');
    expect(judge(seriesOf({ 0: 81n, 20: 81n, 80: 0n }), short, atNs)).toBe('fires');
  });

  test('is looked at again when they are so far apart', () => {
    expect(earliestFiringTime(seriesOf({ 0: 81n, 80: 0n }), short)).toBe(atNs + 20_000_000_000n - 1n);
  });
});

test('no data never counts as zero', () => {
  const below = { ...terms, operator: '<=', threshold: 0n };
  expect(judge(seriesOf(steady(0n)), below, atNs)).toBe('fires');
  expect(judge(seriesOf(steady(null)), below, atNs)).toBe('no-data');
});

test('one sample after a gap does not decide', () => {
  expect(judge(seriesOf({ 0: 81n, 200: 81n }), terms, atNs)).toBe('not-enough-samples');
  expect(judge(seriesOf({ 0: 81n, 20: 81n, 40: 81n }), terms, atNs)).toBe('not-enough-samples');
});

describe('operators', () => {
  test.each([
    ['>', [false, false, true]],
    ['>=', [false, true, true]],
    ['<', [true, false, false]],
    ['<=', [true, true, false]],
  ])('%s compares exactly, also beyond what a double can hold', (operator, fires) => {
    const threshold = 2n ** 62n + 1n;
    const fired = [threshold - 1n, threshold, threshold + 1n].map(
      (value) => judge(seriesOf(steady(value)), { ...terms, operator, threshold }, atNs) === 'fires',
    );
    expect(fired).toEqual(fires);
  });

  test.each(['=', '==', '', '> ', '!='])('%p is unknown', (operator) => {
    expect(judge(seriesOf(steady(81n)), { ...terms, operator }, atNs)).toBe('unknown-operator');
    expect(earliestFiringTime(seriesOf(steady(81n)), { ...terms, operator })).toBeNull();
  });
});

test('the default breach duration counts where the policy has none, and only there', () => {
  expect(breachDurationSecs({ ...outRule, breachDurationSecs: 0 }, 120)).toBe(120);
  expect(breachDurationSecs({ ...outRule, breachDurationSecs: 7 }, 120)).toBe(7);
});

/** The design's sentences, one by one, on a plain list. */
function firesByTheBook(
  points: readonly Point[],
  { breachDurationNs: d, intervalNs, ...rule }: BreachTerms,
  t: bigint,
) {
  const inside = points.filter(([at]) => at >= t - d && at <= t);
  const before = points.filter(([at]) => at >= t - 2n * d && at < t - d);
  const breaches = (value: bigint | null) =>
    value !== null &&
    (rule.operator === '>'
      ? value > rule.threshold
      : rule.operator === '>='
        ? value >= rule.threshold
        : rule.operator === '<'
          ? value < rule.threshold
          : value <= rule.threshold);
  const expected = Math.floor(Number(d) / Number(intervalNs));
  const needed = Math.max(2, Math.ceil((6 * expected) / 10));
  const spread = (inside.at(-1)?.[0] ?? 0n) - (inside[0]?.[0] ?? 0n);
  const farApart = d >= 2n * intervalNs || spread >= (d < intervalNs ? d : intervalNs) / 2n;
  return (
    inside.every(([, value]) => breaches(value)) && before.length > 0 && inside.length >= needed && farApart
  );
}

type Point = readonly [timestampNs: bigint, value: bigint | null];

/** Small numbers, so that every relation of points, breach duration and interval comes up. */
const histories = fc
  .array(
    fc.tuple(
      fc.bigInt(1n, 12n),
      fc.option(fc.constantFrom(0n, 1n, 1n, 2n, 2n, 2n, 2n, 2n), { freq: 15, nil: null }),
    ),
    { maxLength: 40 },
  )
  .map((steps) => {
    let timestampNs = 0n;
    return steps.map(([gap, value]): Point => [(timestampNs += gap), value]);
  });

const anyTerms = fc.record({
  operator: fc.constantFrom('>', '>=', '<', '<='),
  threshold: fc.constantFrom(0n, 1n, 2n),
  breachDurationNs: fc.bigInt(1n, 60n),
  intervalNs: fc.bigInt(1n, 20n),
});

function ringOf(points: readonly Point[]): Ring {
  const ring = new Ring('cpu', 1000, new PointMemory());
  for (const [timestampNs, value] of points) ring.append(timestampNs, value, '%');
  return ring;
}

describe('on random histories', () => {
  test('a rule fires exactly when the design says so', () => {
    fc.assert(
      fc.property(histories, anyTerms, fc.bigInt(0n, 300n), (points, rule, t) => {
        expect(judge(ringOf(points), rule, t) === 'fires').toBe(firesByTheBook(points, rule, t));
      }),
      { numRuns: 3000 },
    );
  });

  test('a rule in breach fires just after its earliest firing time and at no time before', () => {
    fc.assert(
      fc.property(histories, anyTerms, (points, rule) => {
        const newest = points.at(-1)?.[0] ?? 0n;
        const value = points.at(-1)?.[1] ?? null;
        const foretold = earliestFiringTime(ringOf(points), rule);
        const oneBreaching = judge(ringOf([[newest, value]]), rule, newest) === 'not-enough-samples';
        if (value === null || !oneBreaching) {
          expect(foretold).toBeNull();
          return;
        }
        let t = newest + 1n;
        for (; t <= newest + 200n; t++) {
          const future: Point[] = [];
          for (let at = newest + rule.intervalNs; at < t; at += rule.intervalNs) future.push([at, value]);
          if (firesByTheBook([...points, ...future, [t, value]], rule, t)) break;
        }
        // Where it never fires at this pace, another collection is worth its while as soon as the newest is the one before.
        expect(foretold).toBe(t > newest + 200n ? newest + rule.breachDurationNs : t - 1n);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the earliest firing time', () => {
  test('is the last app metric that did not breach plus the breach duration', () => {
    const series = seriesOf({ ...steady(81n), 60: 80n });
    expect(earliestFiringTime(series, terms)).toBe(atNs + 40_000_000_000n);
  });

  test('waits for enough samples', () => {
    expect(earliestFiringTime(seriesOf({ 0: 81n, 150: 0n }), terms)).toBe(atNs + 20_000_000_000n);
  });

  test('is now for a rule that fires already', () => {
    expect(earliestFiringTime(seriesOf(steady(81n)), terms)).toBe(atNs);
  });

  test('is unknown for an app metric that was never collected', () => {
    expect(earliestFiringTime(undefined, terms)).toBeNull();
  });

  test.each<[string, Ages]>([
    ['the newest app metric does not breach', { ...steady(81n), 0: 80n }],
    ['the newest app metric is no data', { ...steady(81n), 0: null }],
    ['there is no app metric', {}],
  ])('is unknown while %s', (_, ages) => {
    expect(earliestFiringTime(seriesOf(ages), terms)).toBeNull();
  });
});

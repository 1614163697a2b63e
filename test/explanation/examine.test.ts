import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { breachTerms, judge } from '../../src/evaluation/breach-rule.js';
import { examine } from '../../src/explanation/examine.js';
import { pointSeries, type Point } from '../../src/explanation/point-series.js';
import { atNs, outRule, seriesOf, settings, steady } from '../evaluation/examples.js';

const terms = breachTerms(outRule, settings); // > 80 for 100 s, an app metric every 20 s
const second = 1_000_000_000n;

test('names the newest value on the right side of the threshold, and counts the others', () => {
  const series = seriesOf({ ...steady(81n), 40: null, 60: 80n, 80: 79n });
  expect(examine(series, terms, atNs)).toEqual({
    verdict: 'not-breached',
    newest: { timestampNs: atNs, value: 81n },
    samples: { have: 6, needed: 3, breaching: 3, noData: 1 },
    against: { timestampNs: atNs - 60n * second, value: 80n },
    unbrokenSinceNs: atNs - 200n * second,
    canFireAtNs: atNs + 60n * second,
  });
});

test('names no data where no value speaks against the rule', () => {
  const { verdict, against } = examine(seriesOf({ ...steady(81n), 20: null }), terms, atNs);
  expect([verdict, against]).toEqual(['no-data', { timestampNs: atNs - 20n * second, value: null }]);
});

test('says since when there are app metrics, and when there can be enough', () => {
  const found = examine(seriesOf({ 0: 81n, 55: 81n, 150: 0n }), terms, atNs);
  expect(found).toMatchObject({
    verdict: 'not-enough-samples',
    samples: { have: 2, needed: 3 },
    unbrokenSinceNs: atNs - 55n * second,
    canFireAtNs: atNs,
  });
});

test('promises no time where app metrics have ceased to come', () => {
  const found = examine(seriesOf({ 61: 81n, 81: 81n }), terms, atNs);
  expect([found.verdict, found.canFireAtNs]).toEqual(['not-enough-samples', null]);
  expect(examine(undefined, terms, atNs)).toMatchObject({ newest: null, unbrokenSinceNs: null });
});

test('of points with the same time the first counts, as of a ring', () => {
  const point = { timestampNs: 5n, value: 1n };
  const series = pointSeries([point, { ...point, value: 2n }, { timestampNs: 4n, value: null }], '%');
  expect([series.size, series.valueAt(0), series.valueAt(1)]).toEqual([2, 1n, null]);
  expect(() => series.valueAt(2)).toThrow(RangeError);
});

const histories = fc
  .array(fc.tuple(fc.bigInt(1n, 12n), fc.option(fc.bigInt(0n, 3n), { freq: 10 })), { maxLength: 40 })
  .map((steps) => {
    let timestampNs = 0n;
    return steps.map(([gap, value]): Point => ({ timestampNs: (timestampNs += gap), value })).reverse();
  });

test('its verdict is what judge says, and its counts prove it', () => {
  const rules = fc.record({
    operator: fc.constantFrom('>', '>=', '<', '<=', '='),
    threshold: fc.bigInt(0n, 2n),
    breachDurationNs: fc.bigInt(1n, 60n),
    intervalNs: fc.bigInt(1n, 20n),
  });
  fc.assert(
    fc.property(histories, rules, fc.bigInt(0n, 300n), (points, rule, t) => {
      const series = pointSeries(points, '');
      const { verdict, samples, against, newest, canFireAtNs } = examine(series, rule, t);
      expect(verdict).toBe(judge(series, rule, t));
      const inside = points.filter(
        ({ timestampNs }) => timestampNs <= t && timestampNs >= t - rule.breachDurationNs,
      );
      expect(samples.have).toBe(inside.length);
      expect(newest).toEqual(points.find(({ timestampNs }) => timestampNs <= t) ?? null);
      expect(canFireAtNs === null || canFireAtNs >= t).toBe(true);
      if (verdict === 'fires') expect(samples.breaching).toBe(samples.have);
      if (verdict === 'fires') expect(samples.have).toBeGreaterThanOrEqual(samples.needed);
      if (verdict !== 'unknown-operator') {
        expect(samples.breaching + samples.noData === samples.have).toBe(verdict !== 'not-breached');
        expect(against !== null).toBe(verdict === 'not-breached' || verdict === 'no-data');
        expect(against !== null && against.value === null).toBe(verdict === 'no-data');
      }
    }),
    { numRuns: 1000 },
  );
});

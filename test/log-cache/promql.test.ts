import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parsePromql } from '../platform/promql/parse.js';
import { selectorsOf, sourceIdsOf } from '../platform/promql/expression.js';
import { nameFilter } from '../../src/log-cache/name-filter.js';
import {
  canShareQuery,
  promqlWindowSecs,
  responseTimeQuery,
  throughputQuery,
} from '../../src/log-cache/promql.js';

test('throughput counts only client timers and divides by its own window', () => {
  expect(throughputQuery(['a'], 40)).toBe(
    'sum by (source_id, instance_id) (count_over_time(http{source_id="a",peer_type="Client"}[40s])) / 40',
  );
});

test('response time is in ms', () => {
  expect(responseTimeQuery(['a'], 120)).toBe(
    'avg by (source_id, instance_id) (max_over_time(http{source_id="a",peer_type="Client"}[120s])) / (1000 * 1000)',
  );
});

test('several apps share a query', () => {
  expect(throughputQuery(['a', 'b'], 40)).toContain('source_id=~"a|b"');
});

test('an app id cannot break out of its quotes', () => {
  expect(throughputQuery(['"} or x{\\'], 40)).toContain('source_id="\\"} or x{\\\\"');
});

test('apps share a query only where all of it is good PromQL and asks for just these apps', () => {
  const oddId = fc.string({ unit: fc.constantFrom(...'a-1.|\\"()[]{}*+?^$cé'), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(oddId, { minLength: 2, maxLength: 4 }), (appIds) => {
      const shared = appIds.filter(canShareQuery);
      if (shared.length < 2) return;
      const selectors = selectorsOf(parsePromql(throughputQuery(shared, 40)));
      expect(selectors.flatMap(sourceIdsOf)).toEqual(shared);
    }),
  );
  for (const appId of ['a|b', 'a"b\\c', 'a(b', '.']) expect(canShareQuery(appId)).toBe(false);
  expect(canShareQuery('11e7a5f5-22c5-4b5c-8d3e-c3a1d3b5a001')).toBe(true);
});

test.each([
  [0, 1],
  [500, 1],
  [1_999, 1],
  [40_000, 40],
  [59_999, 59],
  [60_000, 60],
  [90_000, 60],
  [119_000, 60],
  [120_000, 120],
  [3_599_000, 3_540],
  [5_400_000, 3_600],
  [90_000_000, 86_400],
])('an interval of %i ms has a window of %i s', (intervalMs, secs) => {
  expect(promqlWindowSecs(intervalMs)).toBe(secs);
});

test('a window is never longer than its interval and always of one unit', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 200_000_000 }), (intervalMs) => {
      const secs = promqlWindowSecs(intervalMs);
      expect(secs * 1000).toBeLessThanOrEqual(intervalMs);
      const unit = secs < 60 ? 1 : secs < 3_600 ? 60 : secs < 86_400 ? 3_600 : 86_400;
      expect(secs % unit).toBe(0);
      expect(intervalMs / 1000 - secs).toBeLessThan(unit);
    }),
  );
});

test('a name filter matches its names and nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), fc.string(), (names, other) => {
      const filter = new RegExp(nameFilter(names));
      for (const name of names) expect(filter.test(name)).toBe(true);
      expect(filter.test(other)).toBe(names.includes(other));
    }),
  );
});

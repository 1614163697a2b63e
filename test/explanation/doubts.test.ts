import { expect, test } from '@jest/globals';
import { doubtsOf } from '../../src/explanation/doubts.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { inRule, outRule, policyOf, settings } from '../evaluation/examples.js';

function doubts(rules: readonly ScalingRule[], limits: Pick<AppPolicy, 'fixedInstances'> = {}) {
  return doubtsOf({ ...policyOf(rules), ...limits }, settings).map(({ code, rules: numbers }) => [
    code,
    ...numbers,
  ]);
}

test('an ordinary policy gives rise to none', () => {
  expect(doubts([outRule, inRule, { ...inRule, metricType: 'jobs', threshold: -5n }])).toEqual([]);
});

test('out and in at one value overlap', () => {
  expect(doubts([outRule, { ...inRule, threshold: 90n }])).toEqual([['overlap', 1, 2]]);
  expect(doubts([outRule, { ...inRule, threshold: 81n }])).toEqual([]);
  expect(doubts([outRule, { ...inRule, operator: '<=', threshold: 81n }])).toEqual([['overlap', 1, 2]]);
  expect(doubts([outRule, { ...outRule, threshold: 50n }])).toEqual([]);
  expect(doubts([outRule, { ...inRule, threshold: 90n, metricType: 'cpuutil' }])).toEqual([]);
  expect(doubts([outRule, { ...outRule, adjustment: '-1' }])).toEqual([['overlap', 1, 2]]);
});

test('a breach duration below two intervals is doubtful, also where it is the default', () => {
  expect(doubts([{ ...outRule, breachDurationSecs: 39 }])).toEqual([['short-breach-duration', 1]]);
  expect(
    doubts([
      { ...outRule, breachDurationSecs: 40 },
      { ...outRule, breachDurationSecs: 0 },
    ]),
  ).toEqual([]);
});

test('minimum and maximum alike leave nothing to do', () => {
  expect(doubts([outRule], { fixedInstances: 2 })).toEqual([['min-is-max']]);
  expect(doubts([outRule], {})).toEqual([]);
});

test.each([
  ['memoryutil', '>', 100n, true],
  ['memoryutil', '>', 99n, false],
  ['memoryutil', '>=', 101n, true],
  ['cpu', '>', 100n, false],
  ['cpu', '<', 0n, true],
  ['cpu', '<=', 0n, false],
  ['throughput', '<', 1n, false],
  ['jobs', '<', -1n, false],
  ['cpu', '=>', 80n, true],
])('%s %s %s can never fire: %s', (metricType, operator, threshold, never) => {
  expect(doubts([{ ...outRule, metricType, operator, threshold }])).toEqual(
    never ? [['never-fires', 1]] : [],
  );
});

test('a policy of a thousand rules that all overlap is answered shortly', () => {
  const rules = Array.from({ length: 500 }, () => [outRule, { ...inRule, threshold: 90n }]).flat();
  expect(doubts(rules).length).toBe(20);
});

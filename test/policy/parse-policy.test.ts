import { describe, expect, test } from '@jest/globals';
import { maxPolicyBytes, parsePolicy } from '../../src/policy/parse-policy.js';

const rule = {
  metric_type: 'cpu',
  threshold: 80,
  operator: '>',
  adjustment: '+1',
  breach_duration_secs: 120,
  cool_down_secs: 300,
};
const policyOf = (...rules: unknown[]) => JSON.stringify({ instance_min_count: 1, scaling_rules: rules });
const parsedRule = (changes: object) => {
  const parsed = parsePolicy(policyOf({ ...rule, ...changes }));
  return parsed.ok ? parsed.rules[0] : parsed.problem;
};
const withThreshold = (threshold: string) => {
  const parsed = parsePolicy(policyOf({ ...rule, threshold: 'T' }).replace('"T"', threshold));
  return parsed.ok ? parsed.rules[0]?.threshold : parsed.problem;
};

test('reads the rules in their order', () => {
  const text = policyOf(rule, { ...rule, metric_type: 'throughput', operator: '<=', adjustment: '-50%' });
  expect(parsePolicy(text)).toEqual({
    ok: true,
    rules: [
      {
        metricType: 'cpu',
        threshold: 80n,
        operator: '>',
        adjustment: '+1',
        breachDurationSecs: 120,
        coolDownSecs: 300,
      },
      {
        metricType: 'throughput',
        threshold: 80n,
        operator: '<=',
        adjustment: '-50%',
        breachDurationSecs: 120,
        coolDownSecs: 300,
      },
    ],
  });
});

describe('tolerates', () => {
  test('unknown fields, everywhere', () => {
    const text = JSON.stringify({
      'schema-version': '0.1',
      scaling_rules: [{ ...rule, stats_window_secs: 60, stat_window: { any: [1.5] }, __proto__x: null }],
      schedules: { timezone: 'UTC', recurring_schedule: [{ start_time: '10:00' }] },
    });
    expect(parsePolicy(text)).toMatchObject({ ok: true, rules: [{ metricType: 'cpu' }] });
  });

  test.each([
    ['schedules only', '{"instance_min_count":1,"schedules":{"timezone":"UTC"}}'],
    ['scaling_rules null', '{"scaling_rules":null}'],
    ['an empty list', '{"scaling_rules":[]}'],
    ['an empty object', '{}'],
  ])('a policy without rules: %s', (_name, text) => {
    expect(parsePolicy(text)).toEqual({ ok: true, rules: [] });
  });

  test('durations that are missing, null, zero or negative: the defaults apply', () => {
    for (const none of [undefined, null, 0, -60]) {
      expect(parsedRule({ breach_duration_secs: none, cool_down_secs: none })).toMatchObject({
        breachDurationSecs: 0,
        coolDownSecs: 0,
      });
    }
  });

  test('an unknown operator, which stays as it is', () => {
    expect(parsedRule({ operator: '=>' })).toMatchObject({ operator: '=>' });
  });

  test('custom metric names beyond what the schema allows', () => {
    expect(parsedRule({ metric_type: 'jobs.waiting-é' })).toMatchObject({ metricType: 'jobs.waiting-é' });
  });

  test('a key that stands twice: the last counts, as in Go', () => {
    expect(parsePolicy('{"scaling_rules":[1],"scaling_rules":[]}')).toEqual({ ok: true, rules: [] });
  });

  test('keys that mean something to JavaScript', () => {
    const text = '{"__proto__":{"scaling_rules":[1]},"constructor":1,"toString":"x"}';
    expect(parsePolicy(text)).toEqual({ ok: true, rules: [] });
  });
});

test('thresholds are exact over all of int64', () => {
  for (const threshold of ['9223372036854775807', '-9223372036854775808', '9007199254740993', '0', '-0']) {
    expect(withThreshold(threshold)).toBe(BigInt(threshold));
  }
});

test.each([
  '80.0',
  '80.5',
  '8e1',
  '1E2',
  '9223372036854775808',
  '-9223372036854775809',
  `${'9'.repeat(5000)}`,
])('the threshold %s is no int64 and breaks the policy', (threshold) => {
  expect(withThreshold(threshold)).toMatch(/^scaling_rules\[0\]\.threshold/);
});

describe('broken policies say what is wrong', () => {
  test.each([
    ['NULL', null, 'it is NULL'],
    ['a list', '[]', 'it is a list instead of an object'],
    ['a string', '"x"', 'it is a string instead of an object'],
    ['a number', '1', 'it is a number instead of an object'],
    ['null', 'null', 'it is null instead of an object'],
    ['no JSON', 'scaling_rules: []', 'it is no JSON'],
    ['nothing', '', 'it is no JSON'],
    ['half of it', '{"scaling_rules":[', 'it is no JSON'],
    ['too deep', '['.repeat(200_000), 'it is no JSON'],
    ['rules in an object', '{"scaling_rules":{}}', 'scaling_rules is an object instead of a list'],
    ['rules in a string', '{"scaling_rules":"x"}', 'scaling_rules is a string instead of a list'],
    ['rules a number', '{"scaling_rules":0}', 'scaling_rules is a number instead of a list'],
    ['a rule null', '{"scaling_rules":[null]}', 'scaling_rules[0] is null instead of an object'],
    ['too long', `{"x":"${'y'.repeat(maxPolicyBytes)}"}`, `it is longer than ${maxPolicyBytes} bytes`],
    [
      'too many rules',
      `{"scaling_rules":[${Array(1001).fill('0').join()}]}`,
      'it has 1001 rules, more than 1000',
    ],
  ])('%s', (_name, text, problem) => {
    expect(parsePolicy(text)).toEqual({ ok: false, problem });
  });

  test.each([
    [{ threshold: '80' }, 'scaling_rules[0].threshold is a string instead of an integer'],
    [{ threshold: undefined }, 'scaling_rules[0].threshold is missing instead of an integer'],
    [{ metric_type: 7 }, 'scaling_rules[0].metric_type is a number instead of a string'],
    [{ operator: null }, 'scaling_rules[0].operator is null instead of a string'],
    [{ adjustment: 1 }, 'scaling_rules[0].adjustment is a number instead of a string'],
    [
      { breach_duration_secs: '60' },
      'scaling_rules[0].breach_duration_secs is a string instead of an integer',
    ],
    [{ breach_duration_secs: 1e9 }, 'scaling_rules[0].breach_duration_secs is more than 86400'],
    [{ cool_down_secs: 0.5 }, 'scaling_rules[0].cool_down_secs=0.5 is no integer of 64 bits'],
    [{ metric_type: '' }, /metric_type must have 1 to 100 characters/],
    [{ metric_type: 'x'.repeat(101) }, /metric_type must have 1 to 100 characters/],
    [{ metric_type: 'a\u0000b' }, /no control characters/],
  ])('a rule with %j', (changes, problem) => {
    expect(parsedRule(changes)).toEqual(
      typeof problem === 'string' ? problem : expect.stringMatching(problem),
    );
  });

  test('one broken rule breaks the whole policy: half of it might scale in one direction only', () => {
    expect(parsePolicy(policyOf(rule, { ...rule, adjustment: null }))).toMatchObject({ ok: false });
  });
});

describe('the number of instances', () => {
  test.each([
    ['of a minimum that is the maximum', '"instance_min_count":3,"instance_max_count":3', 3],
    ['of limits that differ', '"instance_min_count":1,"instance_max_count":3', undefined],
    ['without a maximum', '"instance_min_count":3', undefined],
    ['of limits that are no integers', '"instance_min_count":1.5,"instance_max_count":1.5', undefined],
    ['of limits in strings', '"instance_min_count":"3","instance_max_count":"3"', undefined],
  ])('%s', (_what, limits, fixedInstances) => {
    expect(parsePolicy(`{${limits},"scaling_rules":[]}`)).toEqual({ ok: true, rules: [], fixedInstances });
  });
});

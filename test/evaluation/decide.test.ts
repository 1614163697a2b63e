import { describe, expect, test } from '@jest/globals';
import { decide, type Gate, type Hold } from '../../src/evaluation/decide.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { atNs, historyOf, inRule, outRule, policyOf, settings, steady, type Ages } from './examples.js';

const open: Gate = { coolDownUntilMs: null, holds: () => [] };

function decisionOf(
  rules: readonly ScalingRule[],
  metricTypes: Readonly<Record<string, Ages>>,
  gate: Gate = open,
) {
  return decide(policyOf(rules), historyOf(metricTypes), atNs, gate, settings);
}

describe('a decision', () => {
  test('is the first rule that fires, in policy order', () => {
    const second = { ...outRule, threshold: 50n, adjustment: '+2' };
    expect(decisionOf([outRule, second], { cpu: steady(90n) })).toMatchObject({ rule: outRule });
    expect(decisionOf([second, outRule], { cpu: steady(90n) })).toMatchObject({ rule: second });
  });

  test('goes on to the next rule where one does not fire', () => {
    const memory = { ...outRule, metricType: 'memoryused' };
    const decision = decisionOf([{ ...outRule, operator: '=' }, outRule, memory], {
      cpu: steady(10n),
      memoryused: steady(90n),
    });
    expect(decision).toMatchObject({ outcome: 'fired', rule: memory });
  });

  test('names the reason of every rule that did not fire', () => {
    const rules = [
      outRule,
      { ...outRule, operator: '=' },
      { ...outRule, metricType: 'memoryutil' },
      { ...outRule, metricType: 'jobs' },
    ];
    const decision = decisionOf(rules, { cpu: steady(10n), memoryutil: steady(null) });
    const reasons = ['not-breached', 'unknown-operator', 'no-data', 'not-enough-samples'];
    expect(decision).toEqual({
      outcome: 'not-fired',
      verdicts: rules.map((rule, i) => ({ rule, reason: reasons[i] })),
    });
  });

  test('looks at no rule during a cool-down', () => {
    const decision = decisionOf([outRule], { cpu: steady(90n) }, { ...open, coolDownUntilMs: 5 });
    expect(decision).toEqual({ outcome: 'held', reason: 'cooling-down', untilMs: 5 });
  });

  test('about a rule that is held back lets no later rule take its place', () => {
    const contradicting = { ...inRule, metricType: 'throughput' };
    const gate: Gate = {
      coolDownUntilMs: null,
      holds: (direction) => (direction === 'out' ? [{ reason: 'at-limit-backoff' }] : []),
    };
    const decision = decisionOf([outRule, contradicting], { cpu: steady(90n), throughput: steady(1n) }, gate);
    expect(decision).toEqual({ outcome: 'held', reason: 'at-limit-backoff', rule: outRule });
  });

  test('that several things hold back has the first reason and the last known end', () => {
    const holds: Hold[] = [
      { reason: 'breaker-open', untilMs: 10 },
      { reason: 'posted-recently', untilMs: 30 },
      { reason: 'posted-recently' },
    ];
    const decision = decisionOf([outRule], { cpu: steady(90n) }, { ...open, holds: () => holds });
    expect(decision).toEqual({ outcome: 'held', reason: 'breaker-open', rule: outRule, untilMs: 30 });
  });
});

describe('a trigger', () => {
  test('carries the rule, and the unit of the newest app metric', () => {
    expect(decisionOf([outRule], { cpu: steady(90n) })).toMatchObject({
      trigger: {
        app_id: 'app',
        metric_type: 'cpu',
        metric_unit: '%',
        breach_duration_secs: 100,
        threshold: 80n,
        operator: '>',
        cool_down_secs: 300,
        adjustment: '+1',
      },
    });
  });

  test('has the default breach duration, while no cool-down stays 0 for the engine to fill in', () => {
    const bare = { ...outRule, breachDurationSecs: 0, coolDownSecs: 0 };
    expect(decisionOf([bare], { cpu: steady(90n) })).toMatchObject({
      trigger: { breach_duration_secs: settings.defaultBreachDurationSecs, cool_down_secs: 0 },
    });
  });
});

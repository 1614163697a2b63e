import { breaches, isOperator, type EvaluationSettings } from '../evaluation/breach-rule.js';
import {
  breachDurationSecs,
  directionOf,
  type AppPolicy,
  type Operator,
  type ScalingRule,
} from '../policy/policy.js';

/**
 * What makes a policy doubtful, though it is in force as it is.
 * - `overlap`: a value exists at which one rule scales out and another one in
 * - `short-breach-duration`: the breach duration is below two collection intervals
 * - `min-is-max`: the app can never be scaled
 * - `never-fires`: no value can be on the wrong side of the threshold, or the operator is unknown
 * - `no-values`: no app metric of the metric type has had a value for a day
 */
export type DoubtCode = 'overlap' | 'short-breach-duration' | 'min-is-max' | 'never-fires' | 'no-values';

export interface Doubt {
  readonly code: DoubtCode;
  /** The rules concerned, counted from 1. */
  readonly rules: readonly number[];
  readonly text: string;
}

/** Doubts that the policy itself gives rise to. */
export function doubtsOf({ rules, fixedInstances }: AppPolicy, settings: EvaluationSettings): Doubt[] {
  return [
    ...limitDoubts(fixedInstances),
    ...rules.flatMap((rule, index) => ruleDoubts(rule, index + 1, settings)),
    ...overlaps(rules),
  ];
}

/** Doubts that come from what was collected. */
export function valueDoubts({ rules }: AppPolicy, withoutValues: readonly string[]): Doubt[] {
  return withoutValues.map((metricType) => ({
    code: 'no-values',
    rules: rules.flatMap((rule, index) => (rule.metricType === metricType ? [index + 1] : [])),
    text: `${metricType} has had no value for a day`,
  }));
}

function limitDoubts(fixedInstances: number | undefined): Doubt[] {
  if (fixedInstances === undefined) return [];
  const text = `minimum and maximum are both ${fixedInstances}: the rules can change nothing`;
  return [{ code: 'min-is-max', rules: [], text }];
}

function ruleDoubts(rule: ScalingRule, number: number, settings: EvaluationSettings): Doubt[] {
  const found: Doubt[] = [];
  const secs = breachDurationSecs(rule, settings.defaultBreachDurationSecs);
  const twoIntervalsSecs = (2 * settings.collectionIntervalMs) / 1000;
  if (secs < twoIntervalsSecs) {
    const text = `rule ${number}: a breach duration of ${secs} s is below two collection intervals (${twoIntervalsSecs} s): two values decide`;
    found.push({ code: 'short-breach-duration', rules: [number], text });
  }
  const why = whyNever(rule);
  if (why !== null) {
    found.push({ code: 'never-fires', rules: [number], text: `rule ${number} can never fire: ${why}` });
  }
  return found;
}

/**
 * The highest value of a metric type that is never negative; null where there is none. `cpu` goes to 100 % for each
 * core, and `cpuutil` beyond 100 % where the platform lets an app have more than its share.
 */
const highest: ReadonlyMap<string, bigint | null> = new Map([
  ['memoryutil', 100n],
  ['diskutil', 100n],
  ...['memoryused', 'cpu', 'cpuutil', 'disk', 'throughput', 'responsetime'].map(
    (metricType): [string, null] => [metricType, null],
  ),
]);

function whyNever({ metricType, operator, threshold }: ScalingRule): string | null {
  if (!isOperator(operator)) return `${JSON.stringify(operator.slice(0, 20))} is no operator`;
  const max = highest.get(metricType);
  if (max === undefined) return null;
  const extreme = operator.startsWith('<') ? 0n : max;
  if (extreme === null || breaches(extreme, operator, threshold)) return null;
  return `${metricType} is ${max === null ? 'never below 0' : `between 0 and ${max}`}`;
}

/** Pairs of rules of one metric type in opposite directions that one value breaches. */
function overlaps(rules: readonly ScalingRule[]): Doubt[] {
  const found: Doubt[] = [];
  const byMetricType = new Map<string, { rule: ScalingRule; number: number }[]>();
  for (const [index, rule] of rules.entries()) {
    const others = byMetricType.get(rule.metricType) ?? [];
    for (const other of others) {
      if (directionOf(other.rule) === directionOf(rule) || !haveCommonValue(other.rule, rule)) continue;
      const text = `rules ${other.number} and ${index + 1} overlap: a ${rule.metricType} that breaches both scales ${directionOf(other.rule)} by rule ${other.number}, and by rule ${index + 1} would scale ${directionOf(rule)}`;
      found.push({ code: 'overlap', rules: [other.number, index + 1], text });
      if (found.length >= maxOverlaps) return found;
    }
    byMetricType.set(rule.metricType, [...others, { rule, number: index + 1 }]);
  }
  return found;
}

/** A policy may have a thousand rules: the first pairs tell enough. */
const maxOverlaps = 20;

/** From a threshold to the first integer that breaches. */
const toBreach: Readonly<Record<Operator, bigint>> = { '>': 1n, '>=': 0n, '<': -1n, '<=': 0n };

/** One value breaches both where the first integer that breaches one of them breaches the other. */
function haveCommonValue(one: ScalingRule, other: ScalingRule): boolean {
  if (!isOperator(one.operator) || !isOperator(other.operator)) return false;
  return (
    breaches(one.threshold + toBreach[one.operator], other.operator, other.threshold) ||
    breaches(other.threshold + toBreach[other.operator], one.operator, one.threshold)
  );
}

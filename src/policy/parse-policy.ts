import { isLosslessNumber, parse } from 'lossless-json';
import { isInt64 } from '../util/int64.js';
import { limitsOf } from './policy-limits.js';
import { type AppPolicy, operators, type ScalingRule } from './policy.js';

export type ParsedPolicy =
  | ({ readonly ok: true } & Pick<AppPolicy, 'rules' | 'fixedInstances'>)
  /** `problem` completes "the policy cannot be used: …" and quotes no more than a few characters of the policy. */
  | { readonly ok: false; readonly problem: string };

/** Bytes of a policy's text. A rule needs about 150; a policy of 1,000 rules fits. */
export const maxPolicyBytes = 256 * 1024;
const maxRules = 1_000;
/** As wide as the column `app_metric.metric_type`: a longer one could never be stored. */
const maxMetricTypeLength = 100;
/** A day; the policy schema allows an hour. A history must be held in memory for twice as long. */
const maxBreachDurationSecs = 86_400;

/** Texts that most policies have in common: kept once, and not once for each of a hundred thousand rules. */
const commonTexts: ReadonlyMap<string, string> = new Map(
  [
    ...['memoryused', 'memoryutil', 'cpu', 'cpuutil', 'disk', 'diskutil', 'throughput', 'responsetime'],
    ...operators,
    ...['+1', '-1', '+2', '-2', '+3', '-3'],
  ].map((text) => [text, text]),
);

class PolicyProblem extends Error {}

/**
 * Reads the rules out of a stored policy. Tolerant where the policy's writer may know more than we do: unknown fields
 * are ignored, an unknown operator stays. Strict where a guess would scale an app for no reason: one rule that cannot
 * be read makes the whole policy unusable, as in Go, because the rest of it might scale in one direction only.
 * @param text the column's JSON text; null where the column is NULL.
 */
export function parsePolicy(text: string | null): ParsedPolicy {
  try {
    if (text === null) throw new PolicyProblem('it is NULL');
    if (Buffer.byteLength(text) > maxPolicyBytes)
      throw new PolicyProblem(`it is longer than ${maxPolicyBytes} bytes`);
    const policy = parseJson(text);
    return { ok: true, rules: rulesOf(policy), ...fixedInstancesOf(policy) };
  } catch (error) {
    if (error instanceof PolicyProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    // Numbers stay text, because a JavaScript number is not exact beyond 2^53. Of equal keys the last counts, as in Go.
    return parse(text, null, { onDuplicateKey: ({ newValue }) => newValue });
  } catch {
    // Also when the nesting is too deep for the stack.
    throw new PolicyProblem('it is no JSON');
  }
}

function rulesOf(policy: unknown): ScalingRule[] {
  if (!isObject(policy)) throw new PolicyProblem(`it is ${nameOf(policy)} instead of an object`);
  const rules = policy['scaling_rules'] ?? [];
  if (!Array.isArray(rules)) throw new PolicyProblem(`scaling_rules is ${nameOf(rules)} instead of a list`);
  if (rules.length > maxRules) throw new PolicyProblem(`it has ${rules.length} rules, more than ${maxRules}`);
  return rules.map((rule: unknown, index) => {
    if (!isObject(rule))
      throw new PolicyProblem(`scaling_rules[${index}] is ${nameOf(rule)} instead of an object`);
    return readRule(rule, `scaling_rules[${index}].`);
  });
}

function fixedInstancesOf(policy: unknown): Pick<AppPolicy, 'fixedInstances'> {
  const { minInstances, maxInstances } = limitsOf(policy);
  return minInstances !== null && minInstances === maxInstances ? { fixedInstances: minInstances } : {};
}

function readRule(rule: Record<string, unknown>, path: string): ScalingRule {
  const text = (field: string): string => {
    const value = rule[field];
    if (typeof value !== 'string')
      throw new PolicyProblem(`${path}${field} is ${nameOf(value)} instead of a string`);
    return commonTexts.get(value) ?? value;
  };
  const metricType = text('metric_type');
  if (metricType === '' || metricType.length > maxMetricTypeLength || hasControlCharacter(metricType)) {
    throw new PolicyProblem(
      `${path}metric_type must have 1 to ${maxMetricTypeLength} characters and no control characters`,
    );
  }
  const threshold = integer(rule['threshold'], `${path}threshold`);
  if (!isInt64(threshold)) {
    throw new PolicyProblem(`${path}threshold is beyond 64 bits`);
  }
  return {
    metricType,
    threshold,
    operator: text('operator'),
    adjustment: text('adjustment'),
    breachDurationSecs: seconds(
      rule['breach_duration_secs'],
      `${path}breach_duration_secs`,
      maxBreachDurationSecs,
    ),
    coolDownSecs: seconds(rule['cool_down_secs'], `${path}cool_down_secs`, Number.MAX_SAFE_INTEGER),
  };
}

/** 0 where there is none. Go takes a duration only "if > 0", so a negative one is none either. */
function seconds(value: unknown, name: string, max: number): number {
  if (value === undefined || value === null) return 0;
  const whole = integer(value, name);
  if (whole > BigInt(max)) throw new PolicyProblem(`${name} is more than ${max}`);
  return whole > 0n ? Number(whole) : 0;
}

/** Go decodes an int64 from digits only: neither `80.0` nor `8e1` will do. */
function integer(value: unknown, name: string): bigint {
  if (!isLosslessNumber(value)) throw new PolicyProblem(`${name} is ${nameOf(value)} instead of an integer`);
  const digits = value.toString();
  // Longer ones are beyond every limit, and slow to convert.
  if (!/^-?\d{1,40}$/.test(digits))
    throw new PolicyProblem(`${name}=${digits.slice(0, 40)} is no integer of 64 bits`);
  return BigInt(digits);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}

function nameOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (isLosslessNumber(value)) return 'a number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

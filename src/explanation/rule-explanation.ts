import { breachTerms, type EvaluationSettings } from '../evaluation/breach-rule.js';
import { breachDurationSecs, type AppPolicy, type ScalingRule } from '../policy/policy.js';
import { examine, type Examination } from './examine.js';
import type { Facts } from './facts.js';

export interface RuleExplanation extends Examination {
  /** Counted from 1. */
  readonly number: number;
  readonly rule: ScalingRule;
  /** With the default where the policy has none. */
  readonly breachDurationSecs: number;
  /** Of the newest value; empty where there is none. */
  readonly unit: string;
  /** An earlier rule fires and ends the evaluation, or null. */
  readonly behindRule: number | null;
}

/** All rules of a policy as of atNs, also those behind one that fires. */
export function explainRules(
  { appId, rules }: AppPolicy,
  { histories }: Pick<Facts, 'histories'>,
  atNs: bigint,
  settings: EvaluationSettings,
): RuleExplanation[] {
  let firing: number | null = null;
  return rules.map((rule, index) => {
    const series = histories?.series(appId, rule.metricType);
    const examination = examine(series, breachTerms(rule, settings), atNs);
    const behindRule = firing;
    if (examination.verdict === 'fires') firing ??= index + 1;
    return {
      ...examination,
      number: index + 1,
      rule,
      breachDurationSecs: breachDurationSecs(rule, settings.defaultBreachDurationSecs),
      unit: series?.unit ?? '',
      behindRule,
    };
  });
}

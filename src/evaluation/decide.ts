import type { Series } from '../history/ring.js';
import {
  breachDurationSecs,
  directionOf,
  type AppPolicy,
  type Direction,
  type ScalingRule,
} from '../policy/policy.js';
import type { Trigger } from './trigger.js';
import { breachTerms, judge, type EvaluationSettings } from './breach-rule.js';
import type { Decision, HeldReason, RuleVerdict } from './decision.js';

/** The histories that rules are judged by. */
export interface Histories {
  series(appId: string, metricType: string): Series | undefined;
}

/** What keeps a trigger from being posted. */
export interface Hold {
  readonly reason: HeldReason;
  /** Wall-clock ms; absent where unknown. */
  readonly untilMs?: number;
}

/** What stands between a rule that fires and its post, as seen at one moment. */
export interface Gate {
  /** Wall-clock ms while a cool-down runs, else null. */
  readonly coolDownUntilMs: number | null;
  /** All that holds a trigger of this direction back, the most important first; empty lets it pass. */
  holds(direction: Direction): readonly Hold[];
}

/**
 * Evaluates one app at atNs. Rules are judged in policy order, and the first that fires ends the cycle, even if it is
 * then held back: otherwise a scale-out that has to wait would give way to a scale-in that contradicts it.
 */
export function decide(
  policy: AppPolicy,
  histories: Histories,
  atNs: bigint,
  gate: Gate,
  settings: EvaluationSettings,
): Decision {
  if (gate.coolDownUntilMs !== null) {
    return { outcome: 'held', reason: 'cooling-down', untilMs: gate.coolDownUntilMs };
  }
  const verdicts: RuleVerdict[] = [];
  for (const rule of policy.rules) {
    const series = histories.series(policy.appId, rule.metricType);
    const verdict = judge(series, breachTerms(rule, settings), atNs);
    if (verdict !== 'fires') {
      verdicts.push({ rule, reason: verdict });
      continue;
    }
    const [hold, ...more] = gate.holds(directionOf(rule));
    if (hold) return heldBy([hold, ...more], rule);
    const trigger = triggerOf(policy.appId, rule, series?.unit ?? '', settings);
    return { outcome: 'fired', rule, trigger, value: series?.valueAt(0) ?? null };
  }
  return { outcome: 'not-fired', verdicts };
}

/** The rules that a value speaks against at atNs. */
export function notBreached(
  policy: AppPolicy,
  histories: Histories,
  atNs: bigint,
  settings: EvaluationSettings,
): ScalingRule[] {
  return policy.rules.filter((rule) => {
    const series = histories.series(policy.appId, rule.metricType);
    return judge(series, breachTerms(rule, settings), atNs) === 'not-breached';
  });
}

/** Held for the first reason, until the last of all known times. */
export function heldBy(holds: readonly [Hold, ...Hold[]], rule: ScalingRule): Decision {
  const ends = holds.flatMap(({ untilMs }) => (untilMs === undefined ? [] : [untilMs]));
  const until = ends.length > 0 ? { untilMs: Math.max(...ends) } : {};
  return { outcome: 'held', reason: holds[0].reason, rule, ...until };
}

function triggerOf(appId: string, rule: ScalingRule, unit: string, settings: EvaluationSettings): Trigger {
  return {
    app_id: appId,
    metric_type: rule.metricType,
    metric_unit: unit,
    breach_duration_secs: breachDurationSecs(rule, settings.defaultBreachDurationSecs),
    threshold: rule.threshold,
    operator: rule.operator,
    cool_down_secs: rule.coolDownSecs,
    adjustment: rule.adjustment,
  };
}

import type { ScalingRule } from '../policy/policy.js';
import type { Trigger } from './trigger.js';

/**
 * Why a rule did not fire.
 * - `not-breached`: an app metric in the breach duration does not breach
 * - `no-data`: an app metric in the breach duration is *no data*
 * - `not-enough-samples`: too few app metrics in the breach duration, or none before it
 * - `unknown-operator`: the rule cannot be evaluated
 */
export type NotFiredReason = 'not-breached' | 'no-data' | 'not-enough-samples' | 'unknown-operator';

/**
 * Why nothing is posted although a rule fires, or why the app is not evaluated at all.
 * - `cooling-down`: the scaling engine rejects triggers until the cool-down ends; rules are not judged
 * - `posted-recently`: at most one trigger per app and evaluation interval
 * - `breaker-open`: the app's breaker or the shared one is open
 * - `at-limit-backoff`: the scaling engine ignored this direction lately
 * - `lease-lost`: this member may not post until it has a lease again
 * - `engine-busy`: too many posts were in flight for a whole evaluation interval
 */
export const heldReasons = [
  'cooling-down',
  'posted-recently',
  'breaker-open',
  'at-limit-backoff',
  'lease-lost',
  'engine-busy',
] as const;
export type HeldReason = (typeof heldReasons)[number];

export interface RuleVerdict {
  readonly rule: ScalingRule;
  readonly reason: NotFiredReason;
}

/** The result of evaluating one app once. */
export type Decision =
  | {
      readonly outcome: 'fired';
      readonly rule: ScalingRule;
      readonly trigger: Trigger;
      /** The newest app metric of the rule that fires. */
      readonly value: bigint | null;
    }
  | {
      readonly outcome: 'held';
      readonly reason: HeldReason;
      /** The rule that fired; absent for `cooling-down`. */
      readonly rule?: ScalingRule;
      /** The earliest time of a post, wall-clock ms; absent where unknown. */
      readonly untilMs?: number;
    }
  | { readonly outcome: 'not-fired'; readonly verdicts: readonly RuleVerdict[] };

/** Where rules did not fire for several reasons, the first of these counts: what an operator should look at first. */
export const reasonsByWeight = [
  'unknown-operator',
  'no-data',
  'not-enough-samples',
  'not-breached',
] as const satisfies readonly NotFiredReason[];

/** The decision in one word, which is the label of the metric of evaluations. */
export function labelOf(decision: Decision) {
  switch (decision.outcome) {
    case 'fired':
      return 'fired';
    case 'held':
      return decision.reason;
    case 'not-fired':
      return (
        reasonsByWeight.find((reason) => decision.verdicts.some((verdict) => verdict.reason === reason)) ??
        'no-rules'
      );
  }
}

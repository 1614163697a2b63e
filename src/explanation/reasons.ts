import { nsToMs } from '../util/clock.js';
import { breaches, isOperator, type EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Gate } from '../evaluation/decide.js';
import { reasonsByWeight, type Decision } from '../evaluation/decision.js';
import { directionOf } from '../policy/policy.js';
import { gapIntervals, type RuleExplanation } from './examine.js';
import { areHoldsKnown, failureText, lastTriggerOf, type Facts, type RecordedDecision } from './facts.js';
import { limitCode, type Reason } from './reason.js';

/** Why a decision is as it is, the most telling first. */
export function reasonsOf(
  decision: Decision,
  rules: readonly RuleExplanation[],
  facts: Facts,
  gate: Gate,
  settings: EvaluationSettings,
): [Reason, ...Reason[]] {
  const found: Reason[] = [];
  if (facts.owner === 'nobody') found.push({ code: 'not-owned' });
  const uncollected = rules.length > 0 ? collectionReasons(rules, facts, settings) : [];
  switch (decision.outcome) {
    case 'fired':
      found.push(...lastResponse(facts, rules), firedReason(rules));
      if (!areHoldsKnown(facts))
        found.push({ code: 'unknown', detail: 'cool-downs, back-offs and breakers of the app' });
      found.push(...uncollected);
      break;
    case 'held':
      found.push(...heldReasons(decision, facts, rules, gate), ...uncollected);
      break;
    case 'not-fired':
      found.push(...uncollected, ...notFiredReasons(rules));
      break;
  }
  const [first = { code: 'unknown' }, ...more] = found;
  return [first, ...more];
}

function firedReason(rules: readonly RuleExplanation[]): Reason {
  const fires = rules.find(({ verdict }) => verdict === 'fires');
  return fires
    ? { code: 'fired', rule: fires.number, direction: directionOf(fires.rule) }
    : { code: 'fired' };
}

function heldReasons(
  decision: Extract<Decision, { outcome: 'held' }>,
  facts: Facts,
  rules: readonly RuleExplanation[],
  gate: Gate,
): Reason[] {
  if (decision.reason === 'cooling-down') {
    const coolDown = { code: 'cooling-down', ...startOfCoolDown(facts), untilMs: decision.untilMs } as const;
    return rules.length === 0 ? [{ code: 'no-rules' }, coolDown] : [coolDown];
  }
  const fires = rules.find(({ rule }) => rule === decision.rule);
  if (!fires) return [{ code: decision.reason, untilMs: decision.untilMs }];
  const direction = directionOf(fires.rule);
  const common = { rule: fires.number, direction, sinceMs: facts.recorded?.sinceMs };
  const holds = gate
    .holds(direction)
    .map(({ reason, untilMs }): Reason => ({ code: reason, ...common, untilMs }));
  const backOff = holds.find(({ code }) => code === 'at-limit-backoff');
  const atLimit = backOff
    ? [{ ...backOff, code: limitCode(direction), limit: limitOf(facts, direction) }]
    : [];
  const response = backOff ? [] : lastResponse(facts, rules);
  const breaker = holds.filter(({ code }) => code === 'breaker-open');
  const others = holds.filter(({ code }) => code !== 'breaker-open');
  return [...breaker, ...atLimit, ...response, ...others];
}

function startOfCoolDown(facts: Facts): Pick<Reason, 'rule' | 'sinceMs'> {
  if (facts.recorded) return { sinceMs: facts.recorded.sinceMs };
  const trigger = lastTriggerOf(facts);
  if (trigger?.result !== 'scaled') return {};
  return { rule: trigger.rule ?? undefined, sinceMs: trigger.atMs };
}

/** What the scaling engine said to the last trigger of the rule that fires, if it did not scale. */
function lastResponse(facts: Facts, rules: readonly RuleExplanation[]): Reason[] {
  const fires = rules.find(({ verdict }) => verdict === 'fires');
  if (!fires) return [];
  if (facts.recorded) return recordedResponse(facts.recorded, fires);
  const trigger = lastTriggerOf(facts);
  if (!trigger || trigger.rule === null || directionOf(fires.rule) !== trigger.direction) return [];
  if (hasEndedSince(trigger.atMs, fires, facts)) return [];
  const common = { rule: trigger.rule, direction: trigger.direction, sinceMs: trigger.atMs };
  switch (trigger.result) {
    case 'scaled':
    case 'cooling-down':
      return [];
    case 'ignored':
      return [{ code: limitCode(trigger.direction), ...common, limit: limitOf(facts, trigger.direction) }];
    default:
      return [
        {
          code: 'trigger-failed',
          ...common,
          detail: trigger.message === null ? trigger.result : `${trigger.result}: ${trigger.message}`,
        },
      ];
  }
}

function recordedResponse({ code, sinceMs, text }: RecordedDecision, fires: RuleExplanation): Reason[] {
  if (code !== 'trigger-failed') return [];
  return [{ code, rule: fires.number, direction: directionOf(fires.rule), sinceMs, detail: text }];
}

/** Whether the rule's breach has ended since a time, and another one has begun. */
function hasEndedSince(sinceMs: number, { rule }: RuleExplanation, { appId, histories }: Facts): boolean {
  const series = histories?.series(appId, rule.metricType);
  const { operator, threshold } = rule;
  if (!series || !isOperator(operator)) return false;
  for (let age = 0; age < series.size && nsToMs(series.timestampAt(age)) > sinceMs; age++) {
    const value = series.valueAt(age);
    if (value === null || !breaches(value, operator, threshold)) return true;
  }
  return false;
}

function limitOf({ policy }: Facts, direction: 'out' | 'in'): number | undefined {
  if (policy.kind !== 'usable') return undefined;
  return (direction === 'out' ? policy.maxInstances : policy.minInstances) ?? undefined;
}

/** Metric types whose newest app metric is missing or old: because log-cache fails, or for a reason not known here. */
function collectionReasons(
  rules: readonly RuleExplanation[],
  { atMs, knowledge }: Facts,
  { collectionIntervalMs }: EvaluationSettings,
): Reason[] {
  const reasons: Reason[] = [];
  const seen = new Set<string>();
  for (const { rule, number, newest } of rules) {
    const { metricType } = rule;
    if (seen.has(metricType)) continue;
    seen.add(metricType);
    const failure = knowledge?.failures.find((failed) => failed.metricType === metricType);
    if (failure) {
      const detail = failureText(failure);
      reasons.push({ code: 'not-collected', rule: number, metricType, sinceMs: failure.sinceMs, detail });
    } else if (newest && atMs - nsToMs(newest.timestampNs) > Number(gapIntervals) * collectionIntervalMs) {
      reasons.push({ code: 'stale', rule: number, metricType, sinceMs: nsToMs(newest.timestampNs) });
    }
  }
  return reasons;
}

/** One for each kind, with the first rule of it. */
function notFiredReasons(rules: readonly RuleExplanation[]): Reason[] {
  if (rules.length === 0) return [{ code: 'no-rules' }];
  return reasonsByWeight.flatMap((code): Reason[] => {
    const first = rules.find(({ verdict }) => verdict === code);
    if (!first) return [];
    const common = { code, rule: first.number, metricType: first.rule.metricType };
    switch (code) {
      case 'not-breached':
      case 'no-data':
        return [{ ...common, sinceMs: msOf(first.against?.timestampNs) }];
      case 'not-enough-samples':
        return [{ ...common, sinceMs: msOf(first.unbrokenSinceNs), untilMs: msOf(first.canFireAtNs) }];
      case 'unknown-operator':
        return [{ ...common, detail: `operator ${JSON.stringify(first.rule.operator.slice(0, 20))}` }];
    }
  });
}

function msOf(timestampNs: bigint | null | undefined): number | undefined {
  return timestampNs === null || timestampNs === undefined ? undefined : nsToMs(timestampNs);
}

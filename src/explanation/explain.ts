import { msToNs, nsToMs } from '../util/clock.js';
import { breachTerms, type EvaluationSettings } from '../evaluation/breach-rule.js';
import { decide, type Gate } from '../evaluation/decide.js';
import { reasonsByWeight, type Decision } from '../evaluation/decision.js';
import { breachDurationSecs, directionOf, type AppPolicy, type ScalingRule } from '../policy/policy.js';
import { doubtsOf, valueDoubts, type Doubt } from './doubts.js';
import { examine, gapIntervals, type Examination } from './examine.js';
import { failureText, gateOf, type Facts } from './facts.js';
import { limitCode, type Reason } from './reason.js';

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

export interface Explanation {
  readonly facts: Facts;
  /** The time that the rules are judged at: of the newest app metrics, or the time asked about where those are old. */
  readonly evaluatedAtMs: number | null;
  /** As `decide` says; `not-evaluated`: there is nothing to evaluate, or it is not known here. */
  readonly verdict: Decision['outcome'] | 'not-evaluated';
  /** The most telling first; never empty. */
  readonly reasons: readonly [Reason, ...Reason[]];
  readonly rules: readonly RuleExplanation[];
  /** What is doubtful about the policy, though it is in force. */
  readonly doubts: readonly Doubt[];
}

/**
 * Why an app was scaled or not, from the same rules that decide. Says `unknown` where something is not known here.
 * Pure; called when somebody asks, never in a cycle.
 */
export function explain(facts: Facts, settings: EvaluationSettings): Explanation {
  const { policy, histories } = facts;
  const nothing = { facts, evaluatedAtMs: null, verdict: 'not-evaluated', rules: [], doubts: [] } as const;
  switch (policy.kind) {
    case 'unknown':
      return { ...nothing, reasons: [{ code: 'unknown', detail: 'policy_db does not answer' }] };
    case 'none':
      return { ...nothing, reasons: [{ code: 'no-policy' }] };
    case 'broken':
      return { ...nothing, reasons: [{ code: 'policy-broken', detail: policy.problem }] };
    case 'usable':
      break;
  }
  const doubts = [...doubtsOf(policy, settings), ...valueDoubts(policy.policy, facts.withoutValues)];
  if (!histories && policy.policy.rules.length > 0) {
    const unknown = { code: 'unknown', detail: 'appmetrics_db does not answer' } as const;
    return { ...nothing, doubts, reasons: [unknown] };
  }
  const known = { ...facts, histories: histories ?? { series: () => undefined } };
  const atNs = evaluationTimeNs(policy.policy, known, settings);
  const gate = gateOf(facts);
  const decision = decide(policy.policy, known.histories, atNs, gate, settings);
  const rules = explainRules(policy.policy, known, atNs, settings);
  return {
    facts,
    evaluatedAtMs: nsToMs(atNs),
    verdict: decision.outcome,
    reasons: reasonsOf(decision, rules, known, gate, settings),
    rules,
    doubts,
  };
}

/** The owner evaluates as of the newest app metrics. Where those are old, what counts is how it stands now. */
export function evaluationTimeNs(
  policy: AppPolicy,
  { histories, atMs }: Pick<Facts, 'histories' | 'atMs'>,
  settings: EvaluationSettings,
): bigint {
  const askedNs = msToNs(atMs);
  let newestNs = 0n;
  for (const { metricType } of policy.rules) {
    const series = histories?.series(policy.appId, metricType);
    for (let age = 0; series && age < series.size; age++) {
      const timestampNs = series.timestampAt(age);
      if (timestampNs > askedNs) continue;
      if (timestampNs > newestNs) newestNs = timestampNs;
      break;
    }
  }
  return askedNs - newestNs <= gapIntervals * msToNs(settings.collectionIntervalMs) ? newestNs : askedNs;
}

function explainRules(
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

function reasonsOf(
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
      found.push(...lastAnswer(facts, rules), firedReason(rules), ...uncollected);
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
    const { lastTrigger } = facts.knowledge ?? {};
    const startedBy =
      lastTrigger?.result === 'scaled' ? { rule: lastTrigger.rule, sinceMs: lastTrigger.atMs } : {};
    return [{ code: 'cooling-down', ...startedBy, ...until(decision.untilMs) }];
  }
  const fires = rules.find(({ rule }) => rule === decision.rule);
  if (!fires) return [{ code: decision.reason, ...until(decision.untilMs) }];
  const direction = directionOf(fires.rule);
  const common = { rule: fires.number, direction };
  const holds = gate
    .holds(direction)
    .map(({ reason, untilMs }): Reason => ({ code: reason, ...common, ...until(untilMs) }));
  const backOff = holds.find(({ code }) => code === 'at-limit-backoff');
  const atLimit = backOff ? [{ ...backOff, code: limitCode(direction), ...limitOf(facts, direction) }] : [];
  const answer = backOff ? [] : lastAnswer(facts, rules);
  const breaker = holds.filter(({ code }) => code === 'breaker-open');
  const others = holds.filter(({ code }) => code !== 'breaker-open');
  return [...breaker, ...atLimit, ...answer, ...others];
}

/** What the scaling engine said to the last trigger of the rule that fires, if it did not scale. */
function lastAnswer(facts: Facts, rules: readonly RuleExplanation[]): Reason[] {
  const trigger = facts.knowledge?.lastTrigger;
  const fires = rules.find(({ verdict }) => verdict === 'fires');
  if (!trigger || !fires || directionOf(fires.rule) !== trigger.direction) return [];
  const common = { rule: trigger.rule, direction: trigger.direction, sinceMs: trigger.atMs };
  switch (trigger.result) {
    case 'scaled':
    case 'cooling-down':
      return [];
    case 'ignored':
      return [{ code: limitCode(trigger.direction), ...common, ...limitOf(facts, trigger.direction) }];
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

function limitOf({ policy }: Facts, direction: 'out' | 'in'): { limit?: number } {
  if (policy.kind !== 'usable') return {};
  const limit = direction === 'out' ? policy.maxInstances : policy.minInstances;
  return limit === null ? {} : { limit };
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
        return [{ ...common, ...since(first.against?.timestampNs) }];
      case 'not-enough-samples':
        return [{ ...common, ...since(first.unbrokenSinceNs), ...untilNs(first.canFireAtNs) }];
      case 'unknown-operator':
        return [{ ...common, detail: `operator ${JSON.stringify(first.rule.operator.slice(0, 20))}` }];
    }
  });
}

function until(untilMs: number | undefined): { untilMs?: number } {
  return untilMs === undefined ? {} : { untilMs };
}

function untilNs(timestampNs: bigint | null): { untilMs?: number } {
  return timestampNs === null ? {} : { untilMs: nsToMs(timestampNs) };
}

function since(timestampNs: bigint | null | undefined): { sinceMs?: number } {
  return timestampNs === null || timestampNs === undefined ? {} : { sinceMs: nsToMs(timestampNs) };
}

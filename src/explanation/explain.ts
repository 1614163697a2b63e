import { msToNs, nsToMs } from '../util/clock.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { decide } from '../evaluation/decide.js';
import type { Decision } from '../evaluation/decision.js';
import type { AppPolicy } from '../policy/policy.js';
import { doubtsOf, valueDoubts, type Doubt } from './doubts.js';
import { explainRules, gapIntervals, type RuleExplanation } from './examine.js';
import { gateOf, type Facts } from './facts.js';
import type { Reason } from './reason.js';
import { reasonsOf } from './reasons.js';

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
  const doubts = [...doubtsOf(policy.policy, settings), ...valueDoubts(policy.policy, facts.withoutValues)];
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

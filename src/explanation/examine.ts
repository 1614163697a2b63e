import {
  breaches,
  breachTerms,
  earliestFiringTime,
  isOperator,
  judge,
  samplesNeeded,
  type BreachTerms,
  type EvaluationSettings,
} from '../evaluation/breach-rule.js';
import type { NotFiredReason } from '../evaluation/decision.js';
import type { Series } from '../history/ring.js';
import { breachDurationSecs, type AppPolicy, type ScalingRule } from '../policy/policy.js';
import type { Facts } from './facts.js';
import { seriesUntil, type Point } from './point-series.js';

/** What speaks for and against a rule at one time. */
export interface Examination {
  readonly verdict: 'fires' | NotFiredReason;
  readonly newest: Point | null;
  /** App metrics in the breach duration. */
  readonly samples: {
    readonly have: number;
    readonly needed: number;
    readonly breaching: number;
    readonly noData: number;
  };
  /** The newest app metric in the breach duration that speaks against the rule; a value before *no data*. */
  readonly against: Point | null;
  /** Since when app metrics follow each other without a gap; null where there are none. */
  readonly unbrokenSinceNs: bigint | null;
  /**
   * When the rule can fire at the earliest, if it stays in breach, never before the time it is judged at; null where its
   * newest app metric does not breach, is too old, or the rule fires already.
   */
  readonly canFireAtNs: bigint | null;
}

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

/** Collections are missing where two app metrics, or the newest and now, are further apart than so many intervals. */
export const gapIntervals = 3n;

/** What `judge` says of a rule, with everything it looked at. */
export function examine(series: Series | undefined, terms: BreachTerms, atNs: bigint): Examination {
  const known = series && seriesUntil(series, atNs);
  const verdict = judge(known, terms, atNs);
  const newest = known && known.size > 0 ? pointAt(known, 0) : null;
  const isFresh = newest !== null && atNs - newest.timestampNs <= gapIntervals * terms.intervalNs;
  return {
    verdict,
    newest,
    ...countSamples(known, terms, atNs),
    unbrokenSinceNs: unbrokenSince(known, terms),
    canFireAtNs: verdict !== 'fires' && isFresh ? firingTime(known, terms, atNs) : null,
  };
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

/** An app metric that was expected since the newest may be late. */
function firingTime(series: Series | undefined, terms: BreachTerms, atNs: bigint): bigint | null {
  const earliestNs = earliestFiringTime(series, terms);
  return earliestNs !== null && earliestNs < atNs ? atNs : earliestNs;
}

function countSamples(
  series: Series | undefined,
  terms: BreachTerms,
  atNs: bigint,
): Pick<Examination, 'samples' | 'against'> {
  const { operator, threshold, breachDurationNs } = terms;
  const counts = { have: 0, needed: Number(samplesNeeded(terms)), breaching: 0, noData: 0 };
  let notBreaching: Point | null = null;
  let noData: Point | null = null;
  for (let age = 0; series && age < series.size; age++) {
    const point = pointAt(series, age);
    if (point.timestampNs < atNs - breachDurationNs) break;
    counts.have++;
    if (point.value === null) {
      counts.noData++;
      noData ??= point;
    } else if (isOperator(operator) && breaches(point.value, operator, threshold)) {
      counts.breaching++;
    } else if (isOperator(operator)) {
      notBreaching ??= point;
    }
  }
  return { samples: counts, against: notBreaching ?? noData };
}

function unbrokenSince(series: Series | undefined, { intervalNs }: BreachTerms): bigint | null {
  if (!series || series.size === 0) return null;
  let sinceNs = series.timestampAt(0);
  for (let age = 1; age < series.size; age++) {
    const timestampNs = series.timestampAt(age);
    if (sinceNs - timestampNs > gapIntervals * intervalNs) break;
    sinceNs = timestampNs;
  }
  return sinceNs;
}

function pointAt(series: Series, age: number): Point {
  return { timestampNs: series.timestampAt(age), value: series.valueAt(age) };
}

import { secsToNs } from '../util/clock.js';
import type { Series } from '../history/ring.js';
import { breachDurationSecs, operators, type Operator, type ScalingRule } from '../policy/policy.js';
import type { NotFiredReason } from './decision.js';

/** The configuration that rules are judged by. */
export interface EvaluationSettings {
  readonly defaultBreachDurationSecs: number;
  readonly collectionIntervalMs: number;
}

/** The part of a rule and of the configuration that decides whether the rule fires. */
export interface BreachTerms {
  readonly operator: string;
  readonly threshold: bigint;
  readonly breachDurationNs: bigint;
  /** Expected distance of two app metrics. */
  readonly intervalNs: bigint;
}

export function breachTerms(rule: ScalingRule, settings: EvaluationSettings): BreachTerms {
  return {
    operator: rule.operator,
    threshold: rule.threshold,
    breachDurationNs: secsToNs(breachDurationSecs(rule, settings.defaultBreachDurationSecs)),
    intervalNs: secsToNs(settings.collectionIntervalMs / 1000),
  };
}

export function isOperator(text: string): text is Operator {
  return (operators as readonly string[]).includes(text);
}

/**
 * Whether a rule fires at atNs, with d its breach duration: every app metric in [t−d, t] has a value that breaches,
 * at least 60 % of those expected and at least two are there, and there is one, be it *no data*, in [t−2d, t−d).
 *
 * Of several reasons against it, the one that more samples would not change comes first: a value that does not breach,
 * then *no data*, then too few.
 */
export function judge(
  series: Series | undefined,
  terms: BreachTerms,
  atNs: bigint,
): 'fires' | NotFiredReason {
  const { operator, threshold, breachDurationNs } = terms;
  if (!isOperator(operator)) return 'unknown-operator';
  const startNs = atNs - breachDurationNs;
  let samples = 0n;
  let newestNs = startNs;
  let oldestNs = startNs;
  let noData = false;
  let oneBefore = false;
  for (let age = 0; series && age < series.size; age++) {
    const timestampNs = series.timestampAt(age);
    if (timestampNs > atNs) continue;
    if (timestampNs < startNs) {
      oneBefore = timestampNs >= startNs - breachDurationNs;
      break;
    }
    if (samples++ === 0n) newestNs = timestampNs;
    oldestNs = timestampNs;
    const value = series.valueAt(age);
    if (value === null) noData = true;
    else if (!breaches(value, operator, threshold)) return 'not-breached';
  }
  if (noData) return 'no-data';
  return oneBefore && areEnough(samples, newestNs - oldestNs, terms) ? 'fires' : 'not-enough-samples';
}

/**
 * When a rule in breach can fire: at any time after the returned one (ns since the epoch), if every collection until
 * then breaches and comes one interval after the last, and one more follows at that time. null if the newest app metric
 * does not breach. Never before the newest app metric. If collections are too rare for the rule, the time at which the
 * newest app metric leaves the breach duration, so that the next one follows then.
 */
export function earliestFiringTime(series: Series | undefined, terms: BreachTerms): bigint | null {
  const { operator, threshold, breachDurationNs, intervalNs } = terms;
  if (!series || !isOperator(operator)) return null;
  let inBreach = 0;
  while (inBreach < series.size) {
    const value = series.valueAt(inBreach);
    if (value === null || !breaches(value, operator, threshold)) break;
    inBreach++;
  }
  if (inBreach === 0) return null;

  const newestNs = series.timestampAt(0);
  const lastNs = newestNs + 3n * later(breachDurationNs, intervalNs);
  let afterNs = newestNs;
  if (inBreach < series.size) afterNs = later(afterNs, series.timestampAt(inBreach) + breachDurationNs);
  // What else the rule lacks can only come right after a point leaves [t−d, t] (it is then the one before), right after
  // a collection is due, or when the points are far enough apart: try these moments one after the other.
  for (let oldest = series.size - 1; afterNs <= lastNs;) {
    const atNs = afterNs + 1n;
    const startNs = atNs - breachDurationNs;
    while (oldest >= 0 && series.timestampAt(oldest) < startNs) oldest--;
    const due = (afterNs - newestNs) / intervalNs;
    // Of the collections that were due since, those that have left [t−d, t] again.
    const left = startNs > newestNs ? earlier(due, (startNs - 1n - newestNs) / intervalNs) : 0n;
    const nextDueNs = newestNs + (due + 1n) * intervalNs;
    const firstNs =
      oldest >= 0 ? series.timestampAt(oldest) : left < due ? newestNs + (left + 1n) * intervalNs : atNs;
    const beforeNs =
      left > 0n
        ? newestNs + left * intervalNs
        : oldest + 1 < series.size
          ? series.timestampAt(oldest + 1)
          : null;
    const oneBefore = beforeNs !== null && beforeNs >= startNs - breachDurationNs;
    const samples = BigInt(oldest + 1) + due - left + 1n;
    if (oneBefore && areEnough(samples, atNs - firstNs, terms)) return afterNs;
    const apartNs = firstNs + leastSpread(terms) - 1n;
    afterNs = earlier(firstNs + breachDurationNs, nextDueNs);
    if (apartNs >= atNs) afterNs = earlier(afterNs, apartNs);
  }
  return newestNs + breachDurationNs;
}

export function breaches(value: bigint, operator: Operator, threshold: bigint): boolean {
  switch (operator) {
    case '>':
      return value > threshold;
    case '>=':
      return value >= threshold;
    case '<':
      return value < threshold;
    case '<=':
      return value <= threshold;
  }
}

/** App metrics that must lie in a breach duration: max(2, ⌈0.6 · ⌊d/interval⌋⌉), in integers. */
export function samplesNeeded({ breachDurationNs, intervalNs }: BreachTerms): bigint {
  return later((3n * (breachDurationNs / intervalNs) + 4n) / 5n, 2n);
}

/** Whether there are as many as needed, and far enough apart. */
function areEnough(samples: bigint, spreadNs: bigint, terms: BreachTerms): boolean {
  return samples >= samplesNeeded(terms) && spreadNs >= leastSpread(terms);
}

/**
 * How far apart the two app metrics must be where the breach duration is shorter than two intervals. Collected one right
 * after the other, both would say the same and be wrong together.
 */
function leastSpread({ breachDurationNs, intervalNs }: BreachTerms): bigint {
  return breachDurationNs < 2n * intervalNs ? earlier(breachDurationNs, intervalNs) / 2n : 0n;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

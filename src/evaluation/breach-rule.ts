import { secsToNs } from '../clock.js';
import type { Series } from '../history/ring.js';
import { breachDurationSecs, operators, type Operator, type ScalingRule } from '../policy/policy.js';
import type { NotFiredReason } from './decision.js';

/** The configuration that rules are judged by. */
export interface EvaluationSettings {
  readonly defaultBreachDurationSecs: number;
  readonly collectionIntervalMs: number;
}

/** What of a rule and the configuration decides whether it fires. */
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
 * at least 60 % of those expected are there, and there is one, be it *no data*, in [t−2d, t−d).
 *
 * Where several reasons speak against it, the one that more samples could not change comes first: a value on the
 * right side, then *no data*, then too few.
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
  let noData = false;
  let oneBefore = false;
  for (let age = 0; series && age < series.size; age++) {
    const timestampNs = series.timestampAt(age);
    if (timestampNs > atNs) continue;
    if (timestampNs < startNs) {
      oneBefore = timestampNs >= startNs - breachDurationNs;
      break;
    }
    samples++;
    const value = series.valueAt(age);
    if (value === null) noData = true;
    else if (!breaches(value, operator, threshold)) return 'not-breached';
  }
  if (noData) return 'no-data';
  return oneBefore && samples >= samplesNeeded(terms) ? 'fires' : 'not-enough-samples';
}

/**
 * When a rule in breach can fire: at any time after the returned one (ns since the epoch), if every collection until
 * then breaches, comes one interval after the last, and one more is made at that time. null if the newest app metric
 * does not breach. Never before the newest app metric, never later than a breach duration after it.
 */
export function earliestFiringTime(series: Series | undefined, terms: BreachTerms): bigint | null {
  const { operator, threshold, breachDurationNs, intervalNs } = terms;
  if (!series || series.size === 0 || !isOperator(operator)) return null;
  let inBreach = 0;
  while (inBreach < series.size) {
    const value = series.valueAt(inBreach);
    if (value === null || !breaches(value, operator, threshold)) break;
    inBreach++;
  }
  if (inBreach === 0) return null;

  const newestNs = series.timestampAt(0);
  const needed = samplesNeeded(terms);
  let afterNs = newestNs;
  if (inBreach < series.size) afterNs = later(afterNs, series.timestampAt(inBreach) + breachDurationNs);
  // What a rule lacks besides can only come right after a point leaves [t−d, t] (it is then the one before), or right
  // after a collection is due: try these moments in turn.
  for (let oldest = series.size - 1; ;) {
    const startNs = afterNs + 1n - breachDurationNs;
    while (oldest >= 0 && series.timestampAt(oldest) < startNs) oldest--;
    const before = oldest + 1 < series.size ? series.timestampAt(oldest + 1) : null;
    const due = (afterNs - newestNs) / intervalNs;
    const samples = BigInt(oldest + 1) + due + 1n;
    const oneBefore = before !== null && before >= startNs - breachDurationNs;
    // With every point out of [t−d, t], the newest is the one before and the collections to come are enough.
    if (oldest < 0 || (oneBefore && samples >= needed)) return afterNs;
    afterNs = earlier(series.timestampAt(oldest) + breachDurationNs, newestNs + (due + 1n) * intervalNs);
  }
}

function breaches(value: bigint, operator: Operator, threshold: bigint): boolean {
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

/** max(1, ⌈0.6 · ⌊d/interval⌋⌉), in integers. */
function samplesNeeded({ breachDurationNs, intervalNs }: BreachTerms): bigint {
  const needed = (3n * (breachDurationNs / intervalNs) + 4n) / 5n;
  return needed > 1n ? needed : 1n;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

import type { ScalingRule } from './policy.js';

/**
 * Gauges that containers report, and the metric type that somebody who names one in a rule most likely means. Such a
 * rule counts custom metrics of that name only, so it mostly has no data.
 */
const likelyMeanings: ReadonlyMap<string, string> = new Map([
  ['memory', 'memoryused (MB) or memoryutil (%)'],
  ['memory_quota', 'memoryutil (%)'],
  ['disk_quota', 'diskutil (%)'],
  ['cpu_entitlement', 'cpuutil (%)'],
  ['absolute_usage', 'cpuutil (%)'],
  ['absolute_entitlement', 'cpuutil (%)'],
  ['container_age', 'none, it is no metric type'],
  ['log_rate', 'none, it is no metric type'],
  ['log_rate_limit', 'none, it is no metric type'],
]);

export interface RawGaugeRule {
  /** As in the policy: `scaling_rules[0]`. */
  readonly rule: string;
  readonly metricType: string;
  readonly likelyMeaning: string;
}

/** The rules that name a container's gauge instead of a metric type. */
export function rawGaugeRules(rules: readonly ScalingRule[]): RawGaugeRule[] {
  return rules.flatMap(({ metricType }, index) => {
    const likelyMeaning = likelyMeanings.get(metricType);
    return likelyMeaning === undefined
      ? []
      : [{ rule: `scaling_rules[${index}]`, metricType, likelyMeaning }];
  });
}

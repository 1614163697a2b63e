import { breachDurationSecs, metricTypesOf, type AppPolicy } from '../policy/policy.js';
import { ringCapacity } from './history.js';

/** One history that an app's rules need, and how far back they look. */
export interface HistoryKey {
  readonly metricType: string;
  /** Points that its ring must hold. */
  readonly capacity: number;
  /** Seconds of the past that a rule may ask for: twice the longest breach duration, because of [t−2d, t−d). */
  readonly reachSecs: number;
}

export interface HistorySettings {
  readonly defaultBreachDurationSecs: number;
  readonly collectionIntervalMs: number;
}

/** One key per metric type of the policy's rules. */
export function historyKeys(policy: AppPolicy, settings: HistorySettings, cacheSize: number): HistoryKey[] {
  const metricTypes = metricTypesOf(policy);
  return [...metricTypes].map((metricType) => historyKeyOf(policy, metricType, settings, cacheSize));
}

/** For the longest rule of a metric type. */
export function historyKeyOf(
  policy: AppPolicy,
  metricType: string,
  settings: HistorySettings,
  cacheSize: number,
): HistoryKey {
  let longestSecs = 0;
  for (const rule of policy.rules) {
    if (rule.metricType !== metricType) continue;
    longestSecs = Math.max(longestSecs, breachDurationSecs(rule, settings.defaultBreachDurationSecs));
  }
  const capacity = ringCapacity(cacheSize, longestSecs, settings.collectionIntervalMs);
  return { metricType, capacity, reachSecs: 2 * longestSecs };
}

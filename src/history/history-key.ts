import { breachDurationSecs, type AppPolicy } from '../policy/policy.js';
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

/** One key per metric type of the policy's rules, each for its longest rule. */
export function historyKeys(policy: AppPolicy, settings: HistorySettings, cacheSize: number): HistoryKey[] {
  const longest = new Map<string, number>();
  for (const rule of policy.rules) {
    const secs = breachDurationSecs(rule, settings.defaultBreachDurationSecs);
    longest.set(rule.metricType, Math.max(secs, longest.get(rule.metricType) ?? 0));
  }
  return [...longest].map(([metricType, secs]) => ({
    metricType,
    capacity: ringCapacity(cacheSize, secs, settings.collectionIntervalMs),
    reachSecs: 2 * secs,
  }));
}

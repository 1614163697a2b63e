import type { EvaluationSettings } from './breach-rule.js';
import type { Config } from '../config/config.js';

/** The part of the configuration that rules are judged by. */
export function evaluationSettings({
  defaultBreachDurationSecs,
  aggregator,
}: Pick<Config, 'defaultBreachDurationSecs' | 'aggregator'>): EvaluationSettings {
  return { defaultBreachDurationSecs, collectionIntervalMs: aggregator.collectionIntervalMs };
}

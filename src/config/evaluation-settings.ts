import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Config } from './config.js';

/** The part of the configuration that rules are judged by. */
export function evaluationSettings({
  defaultBreachDurationSecs,
  aggregator,
}: Pick<Config, 'defaultBreachDurationSecs' | 'aggregator'>): EvaluationSettings {
  return { defaultBreachDurationSecs, collectionIntervalMs: aggregator.collectionIntervalMs };
}

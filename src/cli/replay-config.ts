import type { Config } from '../config/config.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import { hasSchedules, policyLimits } from '../policy/policy-limits.js';
import { readPolicies, type PolicyText } from '../policy/policy-store.js';
import type { Databases } from '../database/database.js';
import type { NamedPolicy } from '../replay/backtest.js';
import type { ReplaySettings } from '../replay/replay.js';

/** The part of the configuration that matters for replays. */
export type ReplayConfig = Pick<
  Config,
  'policyDb' | 'appMetricsDb' | 'defaultBreachDurationSecs' | 'aggregator' | 'evaluator'
>;

/** `intervalMs` is the collection interval of what was recorded; null: as configured. */
export function replaySettings(config: ReplayConfig, intervalMs: number | null): ReplaySettings {
  const settings = evaluationSettings(config);
  return {
    ...settings,
    collectionIntervalMs: intervalMs ?? settings.collectionIntervalMs,
    evaluationIntervalMs: config.evaluator.evaluationIntervalMs,
  };
}

/** All apps whose policy has rules, or cannot be used. A policy of schedules only has nothing to replay. */
export async function appsWithRules({ policyDb }: Pick<Databases, 'policyDb'>): Promise<PolicyText[]> {
  const apps: PolicyText[] = [];
  for await (const app of readPolicies(policyDb)) {
    if (app.stored.kind !== 'usable' || app.stored.policy.rules.length > 0) apps.push(app);
  }
  return apps;
}

/** The policy in force of an app. Throws where there is none that can be used. */
export function policyInForce(appId: string, found: PolicyText | null): NamedPolicy {
  if (found === null) throw new Error(`${appId} has no policy`);
  const { stored, text } = found;
  if (stored.kind === 'broken') {
    throw new Error(`the policy of ${appId} cannot be used: ${stored.problem}`);
  }
  return { name: 'current', policy: stored.policy, ...playedOf(text) };
}

/** What else of a policy's text matters for replays. */
export function playedOf(text: string | null): Pick<NamedPolicy, 'limits' | 'hasSchedules'> {
  return { limits: policyLimits(text), hasSchedules: hasSchedules(text) };
}

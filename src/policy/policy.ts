/** One app's scaling policy, as far as the eventgenerator needs it. Limits and schedules belong to the scaling engine. */
export interface AppPolicy {
  readonly appId: string;
  /** Changes whenever the stored policy changes; equal versions mean equal rules. */
  readonly version: string;
  /** In the order of the policy, which is the order of precedence. May be empty (a policy of schedules only). */
  readonly rules: readonly ScalingRule[];
  /** The policy's minimum of instances where its maximum is the same. */
  readonly fixedInstances?: number;
}

export interface ScalingRule {
  /** `cpu`, `throughput`, … or the name of a custom metric. */
  readonly metricType: string;
  /** int64; compared with the app metric's integer value. */
  readonly threshold: bigint;
  /** As the policy has it. An operator other than Operator's is reported once per policy version and skips the rule. */
  readonly operator: string;
  /** `+1`, `-2`, `+50%`, … Passed on to the scaling engine; its sign is the direction. */
  readonly adjustment: string;
  /** Seconds; 0 where the policy has none and `defaultBreachDurationSecs` applies. */
  readonly breachDurationSecs: number;
  /** Seconds; 0 where the policy has none and the scaling engine's default applies. */
  readonly coolDownSecs: number;
}

/** Each once, in the order of the rules. */
export function metricTypesOf({ rules }: Pick<AppPolicy, 'rules'>): Set<string> {
  return new Set(rules.map(({ metricType }) => metricType));
}

export const operators = ['>', '>=', '<', '<='] as const;
export type Operator = (typeof operators)[number];

export type Direction = 'out' | 'in';

export function directionOf(rule: Pick<ScalingRule, 'adjustment'>): Direction {
  return rule.adjustment.trimStart().startsWith('-') ? 'in' : 'out';
}

/** A rule's own breach duration in seconds, taken as it is, else the default. */
export function breachDurationSecs(rule: ScalingRule, defaultSecs: number): number {
  return rule.breachDurationSecs > 0 ? rule.breachDurationSecs : defaultSecs;
}

export interface RuleJson {
  readonly metric_type: string;
  readonly operator: string;
  readonly threshold: number;
  readonly adjustment: string;
  readonly breach_duration_secs?: number;
  readonly cool_down_secs?: number;
}

/** `when('cpu > 80', '+1')`. Without more the defaults of eventgenerator and scaling engine apply. */
export function when(
  condition: `${string} ${string} ${number}`,
  adjustment: string,
  more: Pick<RuleJson, 'breach_duration_secs' | 'cool_down_secs'> = {},
): RuleJson {
  const [metricType = '', operator = '', threshold = ''] = condition.split(' ');
  return { metric_type: metricType, operator, threshold: Number(threshold), adjustment, ...more };
}

export function policyOf(...rules: readonly RuleJson[]): object {
  return { instance_min_count: 1, instance_max_count: 10, scaling_rules: rules };
}

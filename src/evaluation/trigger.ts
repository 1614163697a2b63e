/** What is posted to the scaling engine when a rule fires (`POST /v1/apps/{guid}/scale`). */
export interface Trigger {
  readonly app_id: string;
  readonly metric_type: string;
  readonly metric_unit: string;
  /** Seconds; filled in with the default where the policy has none. */
  readonly breach_duration_secs: number;
  readonly threshold: bigint;
  readonly operator: string;
  /** Seconds; 0 lets the scaling engine apply its default. */
  readonly cool_down_secs: number;
  readonly adjustment: string;
}

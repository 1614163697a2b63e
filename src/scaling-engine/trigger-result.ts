/**
 * What became of a posted trigger.
 * - `scaled`: the app was scaled
 * - `cooling-down`: ignored, because a cool-down runs
 * - `ignored`: nothing to do and no cool-down (at its limit, not started, autoscaling disabled)
 * - `failed`: no usable response
 */
export type TriggerResult =
  | { readonly kind: 'scaled'; readonly adjustment: number; readonly coolDownUntilMs: number | null }
  | { readonly kind: 'cooling-down'; readonly coolDownUntilMs: number }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'failed'; readonly fault: TriggerFailure; readonly message: string };

/**
 * - `no-connection`: refused, reset, TLS, name resolution: no app is to blame
 * - `timeout`, `unavailable` (5xx, 401, 403, 408, 429, and a 4xx that comes from a router instead of the engine):
 *   counts for the app, and as a sign of an outage
 * - `rejected`: any other 4xx: about this app or its policy
 * - `bad-answer`: a 200 that is not the scaling engine's
 */
export type TriggerFailure = 'no-connection' | 'timeout' | 'unavailable' | 'rejected' | 'bad-answer';

import type { PolicyLimits } from '../policy/policy-limits.js';
import type { ScalingRule } from '../policy/policy.js';
import type { TriggerResult } from './trigger-result.js';

/** Seconds. What the scaling engine applies to a rule without a cool-down, as it is delivered. */
const defaultCoolDownSecs = 300;

/** An app as the scaling engine sees it when a trigger comes. */
export interface EngineView {
  readonly limits: PolicyLimits;
  /** Of the app's web process. */
  readonly instances: number;
  /** Wall-clock ms; null: there was none. One that is over does no harm. */
  readonly coolDownUntilMs: number | null;
}

/**
 * What the scaling engine makes of a trigger.
 * - `scaled`: also where a limit cuts the adjustment, or turns it round because the app is beyond that limit
 * - `ignored`: the number of instances would stay as it is; `limit` says which limit does that
 * - `bad-adjustment`: the engine responds with an error
 */
export type EngineOutcome =
  | {
      readonly kind: 'scaled';
      readonly from: number;
      readonly to: number;
      /** Wall-clock ms. */
      readonly coolDownUntilMs: number;
    }
  | { readonly kind: 'cooling-down'; readonly coolDownUntilMs: number }
  | { readonly kind: 'ignored'; readonly instances: number; readonly limit: 'min' | 'max' | null }
  | { readonly kind: 'bad-adjustment' };

/**
 * The scaling engine's decision about a trigger at atMs (wall clock), in its order: cool-down, adjustment, limits. What
 * it asks of others is not modelled: whether the app is started, whether its autoscaling is disabled by a label, and
 * whether a schedule has other limits at that time.
 */
export function engineOutcome(
  { limits, instances, coolDownUntilMs }: EngineView,
  { adjustment, coolDownSecs }: Pick<ScalingRule, 'adjustment' | 'coolDownSecs'>,
  atMs: number,
): EngineOutcome {
  if (coolDownUntilMs !== null && atMs < coolDownUntilMs) return { kind: 'cooling-down', coolDownUntilMs };
  const wanted = adjusted(instances, adjustment);
  if (wanted === null) return { kind: 'bad-adjustment' };
  const { minInstances, maxInstances } = limits;
  const min = minInstances ?? 0;
  const max = maxInstances ?? Infinity;
  // The engine asks for the minimum first, which matters where a policy has it above the maximum.
  const to = wanted < min ? min : wanted > max ? max : wanted;
  if (to === instances) {
    return { kind: 'ignored', instances, limit: wanted < min ? 'min' : wanted > max ? 'max' : null };
  }
  const coolDownMs = (coolDownSecs > 0 ? coolDownSecs : defaultCoolDownSecs) * 1000;
  return { kind: 'scaled', from: instances, to, coolDownUntilMs: atMs + coolDownMs };
}

/** The engine's response to that, as its client reads it. */
export function responseTo(outcome: EngineOutcome): TriggerResult {
  switch (outcome.kind) {
    case 'scaled':
      return {
        kind: 'scaled',
        adjustment: outcome.to - outcome.from,
        coolDownUntilMs: outcome.coolDownUntilMs,
      };
    case 'cooling-down':
      return outcome;
    case 'ignored':
      return { kind: 'ignored' };
    case 'bad-adjustment':
      return { kind: 'failed', fault: 'unavailable', message: 'the adjustment makes no sense' };
  }
}

/**
 * Instances after an adjustment, before limits; null where it is none. A percentage rounds half up, and changes the
 * number by at least one.
 */
function adjusted(instances: number, adjustment: string): number | null {
  const [, amount = '', percent] = /^([-+]?\d{1,9})$|^([-+]?\d{1,9}(?:\.\d+)?)%$/.exec(adjustment) ?? [];
  if (amount) return instances + Number(amount);
  if (percent === undefined) return null;
  const rounded = Math.trunc(instances * (1 + Number(percent) / 100) + 0.5);
  return rounded === instances ? instances + Math.sign(Number(percent)) : rounded;
}

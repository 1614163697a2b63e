import type { Trigger } from '../evaluation/trigger.js';
import type { PolicyLimits } from '../policy/policy-limits.js';
import type { Clock } from '../util/clock.js';
import { errorText } from '../util/errors.js';
import { engineOutcome, responseTo } from './engine-model.js';
import { failed } from './response.js';
import type { TriggerResult } from './trigger-result.js';

export interface ModelledEngineOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** Of the app's policy; null where it has none any more. */
  readonly limitsOf: (appId: string) => Promise<PolicyLimits | null>;
  /** 0: the app seems to be stopped. */
  readonly instancesOf: (appId: string) => Promise<number>;
}

/**
 * Takes the scaling engine's place in an observer: responds as the engine would, and scales nothing. No request leaves
 * the process for the scaling engine. Cool-downs begin where the engine would have scaled.
 */
export function createModelledEngine({ clock, limitsOf, instancesOf }: ModelledEngineOptions) {
  /** App id to wall-clock ms; those that are over are dropped with the next post. */
  const coolDowns = new Map<string, number>();

  async function respond({ app_id: appId, adjustment, cool_down_secs }: Trigger): Promise<TriggerResult> {
    const [limits, instances] = await Promise.all([limitsOf(appId), instancesOf(appId)]);
    const nowMs = clock.now();
    for (const [id, untilMs] of coolDowns) if (untilMs <= nowMs) coolDowns.delete(id);
    // The engine leaves apps alone that are not started, and those whose policy has just gone.
    if (limits === null || instances === 0) return { kind: 'ignored' };
    const view = { limits, instances, coolDownUntilMs: coolDowns.get(appId) ?? null };
    const outcome = engineOutcome(view, { adjustment, coolDownSecs: cool_down_secs }, nowMs);
    if (outcome.kind === 'scaled') coolDowns.set(appId, outcome.coolDownUntilMs);
    return responseTo(outcome);
  }

  return {
    // What the engine cannot find out about an app it responds to with 500.
    post: (trigger: Trigger) =>
      respond(trigger).catch((error: unknown) => failed('unavailable', errorText(error))),
  };
}

import { Breakers } from '../../src/scaling-engine/breakers.js';
import type { TriggerFailure, TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { ManualClock } from '../support/manual-clock.js';

export const minute = 60_000;
export const hour = 60 * minute;

export const scaled: TriggerResult = { kind: 'scaled', adjustment: 1, coolDownUntilMs: null };
export const failed = (fault: TriggerFailure): TriggerResult => ({ kind: 'failed', fault, message: fault });

/** Breakers whose listener and time are watched. */
export function setUp(settings = {}, random = 0) {
  const clock = new ManualClock();
  const events: string[] = [];
  const breakers = new Breakers({
    clock,
    listener: {
      opened: (appId, { untilMs, failures, failure }) =>
        events.push(`${appId} opened: ${failures} ${failure.message}, ${untilMs - clock.now()}`),
      closed: (appId) => events.push(`${appId} closed`),
    },
    settings: {
      consecutiveFailureCount: 3,
      backOffInitialIntervalMs: 5 * minute,
      backOffMaxIntervalMs: 2 * hour,
      ...settings,
    },
    random: () => random,
  });
  const allowed = (appId: string) => breakers.deniedUntilMs(appId) === null;
  /** How long an app has to wait, 0 if it may post. */
  const waitMs = (appId: string) => {
    const untilMs = breakers.deniedUntilMs(appId);
    return untilMs === null ? 0 : untilMs - clock.now();
  };
  /** A post from the question to the answer; null if it was not allowed. */
  const post = (appId: string, result: TriggerResult) => {
    if (!allowed(appId)) return null;
    breakers.posting(appId);
    breakers.record(appId, result);
    return result;
  };
  const fail = (appId: string, fault: TriggerFailure, times = 1) => {
    for (let i = 0; i < times; i++) post(appId, failed(fault));
  };
  const state = () => ({ openApps: breakers.openApps(), shared: breakers.sharedState });
  return { clock, breakers, state, events, allowed, waitMs, post, fail };
}

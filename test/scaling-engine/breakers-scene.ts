import type { Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { Breakers } from '../../src/scaling-engine/breakers.js';
import type { TriggerFailure, TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { ManualClock } from '../support/manual-clock.js';
import { silentLogger } from '../support/silent-logger.js';

export const minute = 60_000;
export const hour = 60 * minute;

export const scaled: TriggerResult = { kind: 'scaled', adjustment: 1, coolDownUntilMs: null };
export const failed = (fault: TriggerFailure): TriggerResult => ({ kind: 'failed', fault, message: fault });

/** Breakers whose time is watched, and what they log of single apps. */
export function setUp(settings = {}, random = 0) {
  const clock = new ManualClock();
  const events: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    info(event, { appId, failures, cause, until } = {}) {
      const lengthMs = Date.parse(String(until)) - clock.now();
      if (event === 'app-breaker-opened') {
        events.push(`${String(appId)} opened: ${String(failures)} ${String(cause)}, ${lengthMs}`);
      }
      if (event === 'app-breaker-closed') events.push(`${String(appId)} closed`);
    },
  };
  const breakers = new Breakers({
    clock,
    logger,
    metrics: createMetrics(),
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

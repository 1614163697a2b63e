import { Evaluator } from '../../src/pipeline/evaluator.js';
import { Gates } from '../../src/scaling-engine/gates.js';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  grantedClaims,
  type ClaimPauses,
  type ClaimResult,
  type Claims,
} from '../../src/ownership/claims.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { Breakers } from '../../src/scaling-engine/breakers.js';
import type { Trigger } from '../../src/evaluation/trigger.js';
import type { TriggerFailure, TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { ManualClock } from '../support/manual-clock.js';
import { counted as countedBy } from '../support/counted.js';
import { recordingLogger } from '../support/recording-logger.js';
import { atNs, outRule, policyOf, seriesOf, settings, steady } from '../evaluation/examples.js';

export const evaluationIntervalMs = 40_000;
export const scaled: TriggerResult = { kind: 'scaled', adjustment: 1, coolDownUntilMs: null };
export const ignored: TriggerResult = { kind: 'ignored' };
export const failed = (fault: TriggerFailure): TriggerResult => ({
  kind: 'failed',
  fault,
  message: `${fault} happened`,
});

/** A scaling engine whose responses the test gives, one by one or the same to all. */
class FakeEngine {
  readonly posted: Trigger[] = [];
  answer: TriggerResult | null = scaled;
  readonly #open: ((result: TriggerResult) => void)[] = [];

  post(trigger: Trigger): Promise<TriggerResult> {
    this.posted.push(trigger);
    const { answer } = this;
    return answer ? Promise.resolve(answer) : new Promise((resolve) => this.#open.push(resolve));
  }

  answerAll(result: TriggerResult): void {
    for (const resolve of this.#open.splice(0)) resolve(result);
  }
}

export class FakeClaims implements Claims {
  result: ClaimResult = { granted: true };
  readonly settled: (ClaimPauses & { appId: string; direction: string })[] = [];

  claim(): Promise<ClaimResult> {
    return Promise.resolve(this.result);
  }

  complete(appId: string, direction: string, answer: ClaimPauses): Promise<void> {
    this.settled.push({ appId, direction, ...answer });
    return Promise.resolve();
  }
}

export function setUp(claims: Claims = grantedClaims) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const engine = new FakeEngine();
  const breakers = new Breakers({
    clock,
    logger,
    metrics,
    settings: {
      consecutiveFailureCount: 3,
      backOffInitialIntervalMs: 300_000,
      backOffMaxIntervalMs: 7_200_000,
    },
    random: () => 0,
  });
  const gates = new Gates({ clock, evaluationIntervalMs });
  let series = seriesOf(steady(90n));
  const evaluator = new Evaluator({
    clock,
    gates,
    breakers,
    claims,
    metrics,
    logger,
    settings,
    evaluationIntervalMs,
    mode: 'act',
    scalingEngine: engine,
    history: { series: () => series },
    recorder: { decided: () => {}, forget: () => {} },
  });
  /** Counts by label. */
  const counted = (metric: 'evaluations' | 'triggers') => countedBy(metrics[metric]);
  return {
    ...{ clock, metrics, lines, engine, breakers, gates, evaluator, counted },
    /** What every app's cpu was at all times. */
    cpuWas: (value: bigint | null) => void (series = seriesOf(steady(value))),
    cycle: (rules: readonly ScalingRule[] = [outRule], version = '1', appId = 'app') =>
      evaluator.act(evaluator.evaluate(policyOf(rules, version, appId), atNs)),
  };
}

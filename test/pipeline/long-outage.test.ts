import { expect, test } from '@jest/globals';
import { ConcurrencyLimit } from '../../src/collection/plan/concurrency-limit.js';
import { noCost } from '../../src/collection/pool/cost.js';
import { History } from '../../src/history/history.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { grantedClaims } from '../../src/ownership/claims.js';
import { Cycles } from '../../src/pipeline/cycles.js';
import { Evaluator } from '../../src/pipeline/evaluator.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { Breakers } from '../../src/scaling-engine/breakers.js';
import { Gates } from '../../src/scaling-engine/gates.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { counted } from '../support/counted.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

const intervalMs = 40_000;
const engineTimeoutMs = 60_000;
const apps = ['one', 'two', 'three', 'four'];

const breaching = (metricType: string, breachDurationSecs: number): ScalingRule => ({
  metricType,
  threshold: 80n,
  operator: '>',
  adjustment: '+1',
  breachDurationSecs,
  coolDownSecs: 60,
});

/** Apps whose rules are in breach all the time, with the parts that decide when they are collected and posted. */
function scene(rules: readonly ScalingRule[]) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const context = { clock, metrics, logger: recordingLogger().logger };
  const history = new History(metrics);
  const settings = { defaultBreachDurationSecs: 120, collectionIntervalMs: intervalMs };
  const policies = new Map(apps.map((appId): [string, AppPolicy] => [appId, { appId, version: '1', rules }]));
  const policyOf = (appId: string) => policies.get(appId);
  const collections: string[] = [];
  const state = { engineHangs: false, scaled: [] as { appId: string; metricType: string; atMs: number }[] };

  async function post(trigger: { app_id: string; metric_type: string }): Promise<TriggerResult> {
    if (state.engineHangs) {
      await new Promise<void>((resolve) => void clock.setTimer(engineTimeoutMs, resolve));
      return { kind: 'failed', fault: 'timeout', message: 'hangs' };
    }
    state.scaled.push({ appId: trigger.app_id, metricType: trigger.metric_type, atMs: clock.monotonic() });
    return { kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 60_000 };
  }
  const evaluator = new Evaluator({
    ...context,
    history,
    settings,
    gates: new Gates({ clock, evaluationIntervalMs: intervalMs }),
    breakers: new Breakers({
      ...context,
      settings: {
        consecutiveFailureCount: 3,
        backOffInitialIntervalMs: 300_000,
        backOffMaxIntervalMs: 7_200_000,
      },
    }),
    claims: grantedClaims,
    scalingEngine: { post },
    recorder: { decided: () => {}, forget: () => {} },
    evaluationIntervalMs: intervalMs,
    mode: 'act',
  });
  const cycles = new Cycles({
    ...context,
    history,
    settings,
    evaluator,
    statWindowSecs: 120,
    cacheSizePerApp: 100,
    policyOf,
    policyInForce: policyOf,
    collector: {
      collect({ appId, metricTypes }) {
        collections.push(appId);
        const outcomes = new Map(
          metricTypes.map((metricType) => [metricType, { kind: 'value', value: 90n, unit: '%' } as const]),
        );
        return { gauges: Promise.resolve({ outcomes, containers: null, cost: noCost() }), http: null };
      },
    },
    values: { collected: () => {}, refresh: () => {} },
    recorder: { collected: () => {} },
    writer: { add: () => {} },
    runWithin: (appId, delayMs) => schedule.runWithin(appId, delayMs),
  });
  const schedule = new Schedule({
    clock,
    metrics,
    intervalMs,
    limit: new ConcurrencyLimit(clock, 20),
    run: (appId) => cycles.run(appId),
  });
  schedule.add(apps);
  return { clock, metrics, collections, state, schedule, cycles };
}

test('an engine that hangs for an hour costs few collections, and no app the history of its breach', async () => {
  const { clock, metrics, collections, state } = scene([breaching('cpu', 600)]);
  state.engineHangs = true;
  await clock.advance(1_300_000);
  const outcomes = () => counted(metrics.evaluations);
  const before = await outcomes();
  const collectedBefore = collections.length;
  await clock.advance(3_600_000);
  expect((await outcomes())['not-enough-samples']).toBe(before['not-enough-samples']);
  // Regular cycles, and at most as many more.
  expect(collections.length - collectedBefore).toBeLessThan((2 * apps.length * 3_600_000) / intervalMs);

  state.engineHangs = false;
  const backAtMs = clock.monotonic();
  await clock.advance(engineTimeoutMs + 35_000);
  expect(new Set(state.scaled.map(({ appId }) => appId))).toEqual(new Set(apps));
  expect(backAtMs).toBeLessThan(state.scaled[0]?.atMs ?? 0);
});

test('a rule with a long breach duration fires beside one that scales every minute', async () => {
  const { clock, state } = scene([breaching('memoryutil', 3600), breaching('cpu', 60)]);
  await clock.advance(2 * 3_600_000);
  expect(state.scaled.filter(({ metricType }) => metricType === 'cpu').length).toBeGreaterThan(100);
  const long = state.scaled.filter(({ metricType }) => metricType === 'memoryutil');
  expect(new Set(long.map(({ appId }) => appId))).toEqual(new Set(apps));
});

import { describe, expect, test } from '@jest/globals';
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
import { recordingLogger } from '../support/recording-logger.js';
import { atNs, inRule, outRule, policyOf, seriesOf, settings, steady } from '../evaluation/examples.js';
import { counted as countedBy } from '../support/counted.js';

const evaluationIntervalMs = 40_000;
const scaled: TriggerResult = { kind: 'scaled', adjustment: 1, coolDownUntilMs: null };
const ignored: TriggerResult = { kind: 'ignored' };
const failed = (fault: TriggerFailure): TriggerResult => ({
  kind: 'failed',
  fault,
  message: `${fault} happened`,
});

/** A scaling engine whose answers the test gives, one by one or the same to all. */
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

class FakeClaims implements Claims {
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

function setUp(claims: Claims = grantedClaims) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const engine = new FakeEngine();
  const breakers = new Breakers({
    clock,
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
    scalingEngine: engine,
    history: { series: () => series },
  });
  /** Counts by label. */
  const counted = (metric: 'evaluations' | 'triggers') => countedBy(metrics[metric]);
  return {
    ...{ clock, metrics, lines, engine, breakers, gates, evaluator, counted },
    /** What every app's cpu was at all times. */
    cpuWas: (value: bigint | null) => void (series = seriesOf(steady(value))),
    cycle: (rules: readonly ScalingRule[] = [outRule], version = '1', appId = 'app') =>
      evaluator.runCycle(policyOf(rules, version, appId), atNs),
  };
}

describe('a rule that fires', () => {
  test('is posted; the scaling is logged once at info level, and counted', async () => {
    const { cycle, engine, evaluator, lines, counted } = setUp();
    const decision = await cycle();
    expect(decision.outcome).toBe('fired');
    expect(engine.posted).toHaveLength(1);
    expect(engine.posted[0]).toMatchObject({ app_id: 'app', adjustment: '+1', metric_unit: '%' });
    expect(lines.filter(({ level }) => level !== 'debug')).toEqual([
      {
        level: 'info',
        event: 'scaled',
        data: {
          appId: 'app',
          metricType: 'cpu',
          operator: '>',
          threshold: '80',
          adjustment: '+1',
          instancesAdded: 1,
        },
      },
    ]);
    expect(await counted('evaluations')).toEqual({ fired: 1 });
    expect(await counted('triggers')).toEqual({ scaled: 1 });
    expect(evaluator.lastDecision('app')).toBe(decision);
  });

  test('is posted once per evaluation interval, also after failures', async () => {
    const { cycle, clock, engine } = setUp();
    for (const answer of [scaled, ignored, failed('unavailable')]) {
      engine.answer = answer;
      const before = engine.posted.length;
      await cycle();
      await clock.advance(evaluationIntervalMs - 1);
      expect(await cycle()).toMatchObject({ outcome: 'held' });
      expect(engine.posted).toHaveLength(before + 1);
      await clock.advance(1);
    }
  });

  test('is not posted again while a post of the app is in flight, however long that takes', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = null;
    const first = cycle();
    await clock.advance(10 * evaluationIntervalMs);
    expect(await cycle()).toEqual({ outcome: 'held', reason: 'posted-recently', rule: outRule });
    expect(engine.posted).toHaveLength(1);
    engine.answerAll(scaled);
    await first;
    const second = cycle();
    await clock.advance(0);
    expect(engine.posted).toHaveLength(2);
    engine.answerAll(scaled);
    await second;
  });

  test('is not shown as the last decision once a newer one was made', async () => {
    const { cycle, clock, cpuWas, engine, evaluator } = setUp();
    engine.answer = null;
    const first = cycle();
    await clock.advance(0);
    cpuWas(50n);
    const second = await cycle();
    engine.answerAll(scaled);
    await first;
    expect(evaluator.lastDecision('app')).toBe(second);
    expect(second.outcome).toBe('not-fired');
  });

  test('acted on twice is posted once', async () => {
    const { engine, evaluator, counted } = setUp();
    const decision = evaluator.evaluate(policyOf([outRule]), atNs);
    const [first, second] = await Promise.all([evaluator.act(decision), evaluator.act(decision)]);
    expect([first.outcome, second.outcome]).toEqual(['fired', 'held']);
    expect(engine.posted).toHaveLength(1);
    expect(await counted('triggers')).toEqual({ scaled: 1, 'held-posted-recently': 1 });
  });
});

test.each<[string, bigint | null, readonly ScalingRule[]]>([
  ['not-breached', 50n, [outRule, inRule]],
  ['no-data', null, [outRule, inRule]],
  ['not-enough-samples', 90n, [{ ...outRule, breachDurationSecs: 1000 }, inRule]],
  ['unknown-operator', 50n, [outRule, { ...outRule, operator: '=' }]],
  ['no-rules', 50n, []],
])(
  'an evaluation that comes to nothing is counted as what explains it best: %s',
  async (label, value, rules) => {
    const { cycle, cpuWas, engine, counted } = setUp();
    cpuWas(value);
    expect((await cycle(rules)).outcome).toBe('not-fired');
    expect(await counted('evaluations')).toEqual({ [label]: 1 });
    expect(engine.posted).toEqual([]);
  },
);

describe('a cool-down', () => {
  test('keeps the app from being evaluated until the time that the engine named', async () => {
    const { cycle, clock, engine, counted } = setUp();
    const untilMs = clock.now() + 300_000;
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: untilMs };
    await cycle();
    await clock.advance(299_999);
    expect(await cycle()).toEqual({ outcome: 'held', reason: 'cooling-down', untilMs });
    await clock.advance(1);
    await cycle();
    expect(engine.posted).toHaveLength(2);
    expect(await counted('evaluations')).toEqual({ fired: 2, 'cooling-down': 1 });
  });

  test('that the engine refused a trigger for counts as well', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = { kind: 'cooling-down', coolDownUntilMs: clock.now() + 100_000 };
    await cycle();
    await clock.advance(evaluationIntervalMs);
    expect(await cycle()).toMatchObject({ reason: 'cooling-down' });
  });

  test('lasts no longer than the trigger asked for, where the clocks of engine and eventgenerator differ', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 360_000 };
    await cycle();
    await clock.advance(outRule.coolDownSecs * 1000);
    expect((await cycle()).outcome).toBe('fired');
  });

  test('goes on when the policy changes', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 300_000 };
    await cycle();
    await clock.advance(evaluationIntervalMs);
    expect(await cycle([outRule], '2')).toMatchObject({ reason: 'cooling-down' });
  });
});

describe('an ignored trigger', () => {
  async function ignoredTwice(claims: Claims = grantedClaims) {
    const all = setUp(claims);
    all.engine.answer = ignored;
    await all.cycle();
    await all.clock.advance(evaluationIntervalMs);
    await all.cycle();
    await all.clock.advance(evaluationIntervalMs);
    expect(all.engine.posted).toHaveLength(2);
    return all;
  }

  test('is posted less and less often', async () => {
    const { cycle, clock, engine, counted } = await ignoredTwice();
    const untilMs = clock.now() + evaluationIntervalMs;
    expect(await cycle()).toEqual({ outcome: 'held', reason: 'at-limit-backoff', rule: outRule, untilMs });
    await clock.advance(evaluationIntervalMs);
    await cycle();
    expect(engine.posted).toHaveLength(3);
    expect(await counted('triggers')).toEqual({ ignored: 3 });
  });

  test('is forgotten when its rule stops breaching, whatever rule fires then', async () => {
    const { cycle, cpuWas } = await ignoredTwice();
    cpuWas(10n);
    expect(await cycle([outRule, inRule])).toMatchObject({ outcome: 'fired', rule: inRule });
    cpuWas(90n);
    expect(await cycle([outRule, inRule])).toMatchObject({ reason: 'posted-recently' });
  });

  test.each([
    ['is remembered while nobody knows whether the rule still breaches', null, 'at-limit-backoff'],
    ['is forgotten after a value on the right side', 50n, 'fired'],
  ] as const)('%s', async (_, value, expected) => {
    const { cycle, cpuWas } = await ignoredTwice();
    cpuWas(value);
    await cycle();
    cpuWas(90n);
    const decision = await cycle();
    expect(decision.outcome === 'held' ? decision.reason : decision.outcome).toBe(expected);
  });

  test('is forgotten when the app was scaled, whatever the direction', async () => {
    const { cycle, clock, cpuWas, engine, gates } = await ignoredTwice();
    engine.answer = scaled;
    cpuWas(90n);
    const other = { ...inRule, operator: '>' };
    await cycle([other]);
    expect(gates.backOffUntilMs('app', 'out')).toBeNull();
    engine.answer = ignored;
    await clock.advance(evaluationIntervalMs);
    await cycle([other]);
    engine.answer = scaled;
    await clock.advance(evaluationIntervalMs);
    await cycle([outRule]);
    expect(gates.ignoredRules('app')).toEqual([]);
  });

  test('is forgotten when the policy changes', async () => {
    const { cycle, engine, evaluator } = await ignoredTwice();
    evaluator.policyChanged(policyOf([outRule], '2'));
    expect((await cycle([outRule], '2')).outcome).toBe('fired');
    expect(engine.posted).toHaveLength(3);
  });

  test('is forgotten for other members, too', async () => {
    const claims = new FakeClaims();
    const { cycle, cpuWas } = await ignoredTwice(claims);
    claims.settled.length = 0;
    cpuWas(50n);
    await cycle();
    expect(claims.settled).toEqual([
      { appId: 'app', direction: 'out', coolDownUntilMs: null, ignoredUntilMs: null },
    ]);
  });
});

describe('claims', () => {
  test('are settled with what the engine answered', async () => {
    const claims = new FakeClaims();
    const { cycle, clock, engine } = setUp(claims);
    const app = { appId: 'app', direction: 'out' };
    engine.answer = ignored;
    await cycle();
    const ignoredUntilMs = clock.now() + evaluationIntervalMs;
    expect(claims.settled).toEqual([{ ...app, coolDownUntilMs: null, ignoredUntilMs }]);
    await clock.advance(evaluationIntervalMs);
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: 42 };
    await cycle();
    expect(claims.settled[1]).toEqual({ ...app, coolDownUntilMs: 42, ignoredUntilMs: null });
    engine.answer = failed('timeout');
    await clock.advance(evaluationIntervalMs);
    await cycle();
    expect(claims.settled[2]).toEqual({ ...app, coolDownUntilMs: null, ignoredUntilMs: null });
  });

  test.each([
    ['posted-elsewhere', 'posted-recently', 'posted-recently'],
    ['cooling-down', 'cooling-down', 'cooling-down'],
    ['at-limit-backoff', 'at-limit-backoff', 'at-limit-backoff'],
    ['lease-lost', 'lease-lost', 'lease-lost'],
  ] as const)('that are refused post nothing: %s', async (reason, held, next) => {
    const claims = new FakeClaims();
    const { cycle, clock, engine, evaluator, counted } = setUp(claims);
    const untilMs = clock.now() + 30_000;
    claims.result = { granted: false, reason, untilMs };
    const decision = await cycle();
    expect(decision).toEqual({ outcome: 'held', reason: held, rule: outRule, untilMs });
    expect(evaluator.lastDecision('app')).toBe(decision);
    expect(engine.posted).toEqual([]);
    expect(await counted('triggers')).toEqual({ [`held-${held}`]: 1 });
    expect(await cycle()).toMatchObject({ outcome: 'held', reason: next });
  });

  test('refused because another member posted, or cools down, are not asked again before it ends', async () => {
    for (const reason of ['posted-elsewhere', 'cooling-down', 'at-limit-backoff'] as const) {
      const claims = new FakeClaims();
      const { cycle, clock, engine } = setUp(claims);
      claims.result = { granted: false, reason, untilMs: clock.now() + 30_000 };
      await cycle();
      claims.result = { granted: true };
      await clock.advance(29_999);
      await cycle();
      expect(engine.posted).toEqual([]);
      await clock.advance(1);
      await cycle();
      expect(engine.posted).toHaveLength(1);
    }
  });

  test('that are refused leave the probe of a half-open breaker to others', async () => {
    const claims = new FakeClaims();
    const { cycle, clock, engine } = setUp(claims);
    engine.answer = failed('no-connection');
    await cycle();
    await clock.advance(2000);
    claims.result = { granted: false, reason: 'lease-lost' };
    await cycle([outRule], '1', 'second');
    claims.result = { granted: true };
    await cycle([outRule], '1', 'third');
    expect(engine.posted.map(({ app_id }) => app_id)).toEqual(['app', 'third']);
  });
});

describe('failed posts', () => {
  test('open the breaker of their app alone', async () => {
    const { cycle, clock, engine, lines } = setUp();
    engine.answer = failed('rejected');
    for (let i = 0; i < 3; i++) {
      await cycle();
      await clock.advance(evaluationIntervalMs);
    }
    expect(await cycle()).toMatchObject({ outcome: 'held', reason: 'breaker-open' });
    expect((await cycle([outRule], '1', 'other')).outcome).toBe('fired');
    expect(lines.filter(({ level }) => level === 'info')).toEqual([
      { level: 'info', event: 'app-breaker-opened', data: { appId: 'app' } },
    ]);
    expect((await cycle([outRule], '2')).outcome).toBe('fired');
  });

  test('of an engine that is down silence no app for minutes', async () => {
    const { cycle, clock, engine, lines } = setUp();
    const apps = Array.from({ length: 20 }, (_, i) => `app ${i}`);
    engine.answer = failed('unavailable');
    for (let i = 0; i < 30; i++) {
      await Promise.all(apps.map((appId) => cycle([outRule], '1', appId)));
      await clock.advance(evaluationIntervalMs);
    }
    // 20 minutes of outage: three posts to see it, then one probe a cycle.
    expect(engine.posted.length).toBeLessThanOrEqual(20 + 30);
    engine.answer = scaled;
    engine.posted.length = 0;
    await cycle([outRule], '1', 'probe');
    await Promise.all(apps.map((appId) => cycle([outRule], '1', appId)));
    expect(engine.posted).toHaveLength(21);
    const events = lines.filter(({ level }) => level === 'info').map(({ event }) => event);
    expect(events[0]).toBe('shared-breaker-opened');
    expect(events[1]).toBe('shared-breaker-closed');
    expect(events.slice(2)).toEqual(Array(21).fill('scaled'));
  });

  test('let only one of many apps probe in the same moment', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = failed('no-connection');
    await cycle([outRule], '1', 'first');
    await clock.advance(2000);
    engine.answer = null;
    const cycles = Array.from({ length: 20 }, (_, i) => cycle([outRule], '1', `app ${i}`));
    await clock.advance(0);
    expect(engine.posted).toHaveLength(2);
    engine.answerAll(scaled);
    const reasons = (await Promise.all(cycles)).map((each) =>
      each.outcome === 'held' ? each.reason : 'posted',
    );
    expect(reasons).toEqual(['posted', ...Array<string>(19).fill('breaker-open')]);
  });

  test('are logged once a minute and kind, and counted each by its fault', async () => {
    const { cycle, clock, engine, lines, counted } = setUp();
    for (const fault of ['rejected', 'bad-answer'] as const) {
      engine.answer = failed(fault);
      for (let i = 0; i < 2; i++) await cycle([outRule], '1', `${fault} ${i}`);
    }
    const errors = () => lines.filter(({ level }) => level === 'error');
    expect(errors().map(({ event, message }) => [event, message])).toEqual([
      ['trigger-failed', 'rejected happened'],
      ['trigger-failed', 'bad-answer happened'],
    ]);
    expect(await counted('triggers')).toEqual({ rejected: 2, 'bad-answer': 2 });
    await clock.advance(60_000);
    await cycle([outRule], '1', 'late');
    expect(errors()[2]?.data).toMatchObject({ appId: 'late', fault: 'bad-answer', suppressed: 1 });
  });
});

describe('posts in flight', () => {
  test('are bounded; scale-outs wait before scale-ins', async () => {
    const { cycle, clock, cpuWas, engine } = setUp();
    engine.answer = null;
    const cycles = Array.from({ length: 50 }, (_, i) => cycle([outRule], '1', `app ${i}`));
    cpuWas(10n);
    cycles.push(cycle([inRule], '1', 'waits, in'));
    cpuWas(90n);
    cycles.push(cycle([outRule], '1', 'waits, out'));
    await clock.advance(1000);
    expect(engine.posted).toHaveLength(50);
    engine.answerAll(scaled);
    await clock.advance(0);
    expect(engine.posted.slice(50).map(({ app_id }) => app_id)).toEqual(['waits, out', 'waits, in']);
    engine.answerAll(scaled);
    await Promise.all(cycles);
    expect(clock.pendingTimers).toBe(0);
  });

  test('that take a whole interval make others wait for their next evaluation', async () => {
    const { cycle, clock, engine } = setUp();
    engine.answer = null;
    const cycles = Array.from({ length: 50 }, (_, i) => cycle([outRule], '1', `app ${i}`));
    const late = cycle([outRule], '1', 'late');
    await clock.advance(evaluationIntervalMs);
    expect(await late).toEqual({ outcome: 'held', reason: 'engine-busy', rule: outRule });
    engine.answerAll(scaled);
    await Promise.all(cycles);
    const again = cycle([outRule], '1', 'late');
    await clock.advance(0);
    expect(engine.posted).toHaveLength(51);
    engine.answerAll(scaled);
    await again;
  });
});

describe('an unknown operator', () => {
  test('is reported once per version of the policy', async () => {
    const { cycle, lines } = setUp();
    const rules = [{ ...outRule, operator: '='.repeat(1000) }, inRule];
    for (const version of ['1', '1', '2', '2']) await cycle(rules, version);
    const errors = lines.filter(({ level }) => level === 'error');
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatchObject({ event: 'unknown-operator', data: { appId: 'app', metricType: 'cpu' } });
    expect(errors[0]?.message).toBe(
      'operator "====================" is unknown, the rule is skipped: use one of > >= < <=',
    );
  });
});

describe('an app that is forgotten', () => {
  test('leaves no decision, cool-down, back-off or breaker', async () => {
    const { cycle, clock, engine, evaluator, gates, breakers } = setUp();
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 300_000 };
    await cycle();
    engine.answer = ignored;
    await cycle([outRule], '1', 'at limit');
    engine.answer = failed('rejected');
    for (let i = 0; i < 3; i++) {
      await cycle([outRule], '1', 'bad');
      await clock.advance(evaluationIntervalMs);
    }
    for (const appId of ['app', 'at limit', 'bad', 'never seen']) evaluator.forget(appId);
    expect(evaluator.lastDecision('app')).toBeNull();
    expect(gates.size).toBe(0);
    expect(breakers.state().openApps).toBe(0);
    engine.answer = scaled;
    expect((await cycle([outRule], '1', 'bad')).outcome).toBe('fired');
  });

  test('during its post leaves nothing either', async () => {
    const { cycle, clock, engine, evaluator, gates } = setUp();
    engine.answer = null;
    const inFlight = cycle();
    await clock.advance(0);
    evaluator.forget('app');
    engine.answerAll({ kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 300_000 });
    await inFlight;
    expect(gates.size).toBe(0);
    expect(evaluator.lastDecision('app')).toBeNull();
  });
});

test('the gauges show what holds triggers back', async () => {
  const { cycle, clock, engine, evaluator, metrics } = setUp();
  engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs: clock.now() + 300_000 };
  await cycle();
  engine.answer = ignored;
  await cycle([outRule], '1', 'at limit');
  engine.answer = failed('rejected');
  for (let i = 0; i < 3; i++) {
    await cycle([outRule], '1', 'bad');
    if (i < 2) await clock.advance(evaluationIntervalMs);
  }
  engine.answer = ignored;
  await cycle([outRule], '1', 'also at limit');
  engine.answer = failed('no-connection');
  await cycle([outRule], '1', 'unlucky');
  const shown = async () => {
    evaluator.refresh();
    const gauges = [
      metrics.coolDowns,
      metrics.atLimitBackOffs,
      metrics.breakersOpen,
      metrics.sharedBreakerState,
    ];
    return Promise.all(gauges.map(async (gauge) => (await gauge.get()).values[0]?.value));
  };
  expect(await shown()).toEqual([1, 1, 1, 2]);
  await clock.advance(2000);
  expect(await shown()).toEqual([1, 1, 1, 1]);
});

describe('an app taken over', () => {
  test('is held back by the cool-down and the back-offs that other members were told of', async () => {
    const { cycle, clock, engine, evaluator } = setUp();
    evaluator.restore(policyOf([outRule], '1', 'cooling'), {
      coolDownUntilMs: clock.now() + 60_000,
      ignoredOutUntilMs: null,
      ignoredInUntilMs: null,
    });
    evaluator.restore(policyOf([inRule, outRule], '1', 'at limit'), {
      coolDownUntilMs: null,
      ignoredOutUntilMs: clock.now() + 60_000,
      ignoredInUntilMs: null,
    });
    expect(await cycle([outRule], '1', 'cooling')).toMatchObject({ outcome: 'held', reason: 'cooling-down' });
    expect(await cycle([outRule], '1', 'at limit')).toMatchObject({
      outcome: 'held',
      reason: 'at-limit-backoff',
    });
    expect(engine.posted).toEqual([]);
    await clock.advance(60_000);
    expect((await cycle([outRule], '1', 'cooling')).outcome).toBe('fired');
    expect((await cycle([outRule], '1', 'at limit')).outcome).toBe('fired');
  });

  test('is found again when what held it back is over', async () => {
    const claims = new FakeClaims();
    const { cycle, evaluator } = setUp(claims);
    claims.result = { granted: false, reason: 'lease-lost' };
    await cycle();
    expect(evaluator.heldFor('lease-lost')).toEqual(['app']);
    expect(evaluator.heldFor('breaker-open')).toEqual([]);
    claims.result = { granted: true };
    await cycle();
    expect(evaluator.heldFor('lease-lost')).toEqual([]);
  });
});

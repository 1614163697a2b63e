import { describe, expect, test } from '@jest/globals';
import type { ClaimResult } from '../../src/ownership/claims.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { atNs, inRule, outRule, policyOf } from '../evaluation/examples.js';
import { evaluationIntervalMs, failed, FakeClaims, ignored, scaled, setUp } from './evaluator-scene.js';

describe('a rule that fires', () => {
  test('is posted; the scaling is logged once at info level, and counted', async () => {
    const { cycle, clock, engine, lines, counted } = setUp();
    const coolDownUntilMs = clock.now() + 300_000;
    engine.answer = { kind: 'scaled', adjustment: 1, coolDownUntilMs };
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
          value: '90',
          unit: '%',
          operator: '>',
          threshold: '80',
          breachDurationSecs: 100,
          adjustment: '+1',
          instancesAdded: 1,
          coolDownUntil: new Date(coolDownUntilMs).toISOString(),
        },
      },
    ]);
    expect(await counted('evaluations')).toEqual({ fired: 1 });
    expect(await counted('triggers')).toEqual({ scaled: 1 });
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

  test('and is then held back does not count as held once a newer decision was made', async () => {
    const claims = new FakeClaims();
    let reject: (result: ClaimResult) => void = () => {};
    claims.claim = () => new Promise((resolve) => (reject = resolve));
    const { cycle, clock, cpuWas, evaluator } = setUp(claims);
    const first = cycle();
    await clock.advance(0);
    cpuWas(50n);
    expect((await cycle()).outcome).toBe('not-fired');
    reject({ granted: false, reason: 'lease-lost' });
    expect(await first).toMatchObject({ outcome: 'held', reason: 'lease-lost' });
    expect(evaluator.heldFor('lease-lost')).toEqual([]);
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
    await cycle();
    expect(evaluator.heldFor('cooling-down')).toEqual(['app']);
    for (const appId of ['app', 'at limit', 'bad', 'never seen']) evaluator.forget(appId);
    expect(evaluator.heldFor('cooling-down')).toEqual([]);
    expect(gates.size).toBe(0);
    expect(breakers.openApps()).toBe(0);
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
    expect(evaluator.heldFor('cooling-down')).toEqual([]);
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

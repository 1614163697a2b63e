import { describe, expect, test } from '@jest/globals';
import { grantedClaims, type Claims } from '../../src/ownership/claims.js';
import { inRule, outRule, policyOf } from '../evaluation/examples.js';
import { evaluationIntervalMs, failed, FakeClaims, ignored, scaled, setUp } from './evaluator-scene.js';

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
    expect(evaluator.heldFor(held)).toEqual(['app']);
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

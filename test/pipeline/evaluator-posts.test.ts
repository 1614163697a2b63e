import { describe, expect, test } from '@jest/globals';
import { atNs, inRule, outRule, policyOf } from '../evaluation/examples.js';
import { evaluationIntervalMs, failed, scaled, setUp } from './evaluator-scene.js';

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
    const openedAtMs = clock.now() - evaluationIntervalMs;
    const opened = {
      appId: 'app',
      until: new Date(openedAtMs + 300_000).toISOString(),
      failures: 3,
      fault: 'rejected',
      cause: 'rejected happened',
    };
    expect(lines.filter(({ level }) => level === 'info')).toEqual([
      { level: 'info', event: 'app-breaker-opened', data: opened },
    ]);
    expect((await cycle([outRule], '2')).outcome).toBe('fired');
    expect(lines.filter(({ level }) => level === 'info').slice(1)).toEqual([
      { level: 'info', event: 'app-breaker-closed', data: { appId: 'app' } },
    ]);
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

  test.each<[string, (scene: ReturnType<typeof setUp>) => void]>([
    [
      'the rule ceases to fire',
      ({ cpuWas, evaluator }) => {
        cpuWas(50n);
        evaluator.evaluate(policyOf([inRule, outRule], '1', 'waits'), atNs);
      },
    ],
    [
      'another rule fires',
      ({ cpuWas, evaluator }) => {
        cpuWas(90n);
        evaluator.evaluate(policyOf([inRule, outRule], '1', 'waits'), atNs);
      },
    ],
    ['the policy changes', ({ evaluator }) => evaluator.policyChanged(policyOf([inRule], '2', 'waits'))],
    ['the app goes to another member', ({ evaluator }) => evaluator.forget('waits')],
  ])('are not followed by a trigger that waited meanwhile if %s', async (_, happen) => {
    const scene = setUp();
    const { cycle, clock, cpuWas, engine } = scene;
    engine.answer = null;
    const cycles = Array.from({ length: 50 }, (_, i) => cycle([outRule], '1', `app ${i}`));
    cpuWas(10n);
    const waits = cycle([inRule, outRule], '1', 'waits');
    await clock.advance(1000);
    happen(scene);
    engine.answerAll(scaled);
    await clock.advance(0);
    expect(engine.posted).toHaveLength(50);
    expect(await waits).not.toMatchObject({ outcome: 'fired' });
    await Promise.all(cycles);
    expect(clock.pendingTimers).toBe(0);
  });

  test('are followed by a trigger that waited meanwhile if its rule goes on firing', async () => {
    const { cycle, clock, cpuWas, engine, evaluator } = setUp();
    engine.answer = null;
    const cycles = Array.from({ length: 50 }, (_, i) => cycle([outRule], '1', `app ${i}`));
    cpuWas(10n);
    cycles.push(cycle([inRule, outRule], '1', 'waits'));
    await clock.advance(1000);
    expect(evaluator.evaluate(policyOf([inRule, outRule], '1', 'waits'), atNs)).toMatchObject({
      outcome: 'held',
      reason: 'posted-recently',
    });
    engine.answerAll(scaled);
    await clock.advance(0);
    expect(engine.posted).toHaveLength(51);
    engine.answerAll(scaled);
    await Promise.all(cycles);
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

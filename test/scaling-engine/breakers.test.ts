import { describe, expect, test } from '@jest/globals';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { hour, minute, scaled, setUp } from './breakers-scene.js';

describe("an app's breaker", () => {
  test.each(['rejected', 'unavailable', 'timeout', 'bad-answer'] as const)(
    'opens after so many failures in a row: %s',
    (fault) => {
      const { allowed, fail, waitMs, state } = setUp();
      fail('app', fault, 2);
      expect(allowed('app')).toBe(true);
      fail('app', fault);
      expect(waitMs('app')).toBe(5 * minute);
      expect(state()).toEqual({ openApps: 1, shared: 'closed' });
    },
  );

  test('doubles its back-off at every failure after it, up to the configured bound', async () => {
    const { clock, fail, waitMs } = setUp();
    fail('app', 'rejected', 3);
    for (const minutes of [5, 10, 20, 40, 80, 120, 120]) {
      expect(waitMs('app')).toBe(minutes * minute);
      await clock.advance(minutes * minute);
      expect(waitMs('app')).toBe(0);
      fail('app', 'rejected');
    }
  });

  test('is told with its first opening until it closes, also while it is half open', async () => {
    const { breakers, clock, fail, post } = setUp();
    fail('app', 'rejected', 2);
    expect(breakers.openFor('app')).toEqual([]);
    fail('app', 'rejected');
    const sinceMs = clock.now();
    const untilMs = sinceMs + 5 * minute;
    expect(breakers.openFor('app')).toEqual([{ scope: 'app', sinceMs, untilMs }]);
    await clock.advance(5 * minute);
    expect(breakers.openFor('app')).toEqual([{ scope: 'app', sinceMs, untilMs }]);
    fail('app', 'rejected');
    expect(breakers.openFor('app')).toEqual([{ scope: 'app', sinceMs, untilMs: clock.now() + 10 * minute }]);
    expect(breakers.openFor('other')).toEqual([]);
    await clock.advance(10 * minute);
    post('app', scaled);
    expect(breakers.openFor('app')).toEqual([]);
  });

  test('spreads the end of its back-off by a tenth', () => {
    const { fail, waitMs } = setUp({}, 1);
    fail('app', 'rejected', 3);
    expect(waitMs('app')).toBeCloseTo(5.5 * minute);
  });

  test.each<[string, TriggerResult]>([
    ['scaled', scaled],
    ['cooling-down', { kind: 'cooling-down', coolDownUntilMs: 0 }],
    ['ignored', { kind: 'ignored' }],
  ])('starts from the beginning after a success: %s', async (_, success) => {
    const { clock, fail, post, waitMs } = setUp();
    fail('app', 'rejected', 2);
    post('app', success);
    fail('app', 'rejected', 2);
    expect(waitMs('app')).toBe(0);
    fail('app', 'rejected');
    await clock.advance(5 * minute);
    post('app', success);
    fail('app', 'rejected', 3);
    expect(waitMs('app')).toBe(5 * minute);
  });

  test('closes when the policy changes', () => {
    const { breakers, fail, waitMs } = setUp();
    fail('app', 'rejected', 3);
    breakers.policyChanged('app');
    expect(waitMs('app')).toBe(0);
    fail('app', 'rejected', 2);
    expect(waitMs('app')).toBe(0);
  });

  test('is told of when it opens, opens for longer, and closes', async () => {
    const { breakers, clock, events, fail, post } = setUp();
    fail('app', 'rejected', 3);
    await clock.advance(5 * minute);
    fail('app', 'timeout');
    await clock.advance(10 * minute);
    post('app', scaled);
    expect(events).toEqual(['app opened: 3 rejected, 300000', 'app opened: 4 timeout, 600000', 'app closed']);
    fail('app', 'rejected', 2);
    post('app', scaled);
    fail('other', 'rejected', 3);
    breakers.policyChanged('other');
    breakers.policyChanged('other');
    expect(events.slice(3)).toEqual(['other opened: 3 rejected, 300000', 'other closed']);
    fail('gone', 'rejected', 3);
    breakers.forget('gone');
    expect(events.slice(5)).toEqual(['gone opened: 3 rejected, 300000']);
  });

  test('closes when its failures turn out to be an outage', () => {
    const { events, fail } = setUp();
    fail('app', 'unavailable', 3);
    fail('second', 'unavailable');
    expect(events).toEqual(['app opened: 3 unavailable, 300000']);
    fail('third', 'unavailable');
    expect(events.slice(1)).toEqual(['app closed']);
  });

  test('is not moved by a wall clock that is set', async () => {
    const { clock, allowed, fail } = setUp();
    fail('app', 'rejected', 3);
    clock.jumpWallClock(hour);
    expect(allowed('app')).toBe(false);
    clock.jumpWallClock(-2 * hour);
    await clock.advance(5 * minute);
    expect(allowed('app')).toBe(true);
  });
});

describe("one app's fault stops nobody else", () => {
  test('however many apps are refused on their own account', () => {
    const { allowed, fail, state } = setUp();
    for (let i = 0; i < 100; i++) fail(`bad ${i}`, 'rejected', 3);
    expect(allowed('good')).toBe(true);
    expect(state()).toEqual({ openApps: 100, shared: 'closed' });
  });

  test('however often two apps fail like an outage', () => {
    const { allowed, fail } = setUp({ consecutiveFailureCount: 1000 });
    for (let i = 0; i < 500; i++) {
      fail('a', 'unavailable');
      fail('b', 'timeout');
    }
    expect(allowed('good')).toBe(true);
  });

  test('and three apps that fail with successes of others between them', () => {
    const { allowed, fail, post, state } = setUp();
    for (let cycle = 0; cycle < 3; cycle++) {
      for (const bad of ['a', 'b', 'c']) {
        fail(bad, 'unavailable');
        post('good', scaled);
      }
    }
    expect(state()).toEqual({ openApps: 3, shared: 'closed' });
    expect(allowed('good')).toBe(true);
  });

  test('a refusal takes back that the app was a witness of an outage', () => {
    const { fail, state } = setUp();
    fail('a', 'unavailable');
    fail('a', 'rejected');
    fail('b', 'unavailable');
    fail('c', 'unavailable');
    expect(state().shared).toBe('closed');
    fail('d', 'unavailable');
    expect(state().shared).toBe('open');
  });
});

test('forgotten apps leave nothing, also when an outage takes its failures back', () => {
  const { breakers, fail, state } = setUp({ consecutiveFailureCount: 1 });
  fail('gone', 'rejected');
  fail('gone', 'unavailable');
  breakers.forget('gone');
  fail('b', 'rejected');
  breakers.forget('b');
  fail('c', 'no-connection');
  expect(state().openApps).toBe(0);
});

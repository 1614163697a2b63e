import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Breakers } from '../../src/scaling-engine/breakers.js';
import type { TriggerFailure, TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { ManualClock } from '../support/manual-clock.js';

const minute = 60_000;
const hour = 60 * minute;

const scaled: TriggerResult = { kind: 'scaled', adjustment: 1, coolDownUntilMs: null };
const failed = (fault: TriggerFailure): TriggerResult => ({ kind: 'failed', fault, message: fault });

function setUp(settings = {}, random = 0) {
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
  const allowed = (appId: string) => breakers.mayPost(appId).allowed;
  /** How long an app has to wait, 0 if it may post. */
  const waitMs = (appId: string) => {
    const permission = breakers.mayPost(appId);
    return permission.allowed ? 0 : permission.untilMs - clock.now();
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
  return { clock, breakers, events, allowed, waitMs, post, fail };
}

describe("an app's breaker", () => {
  test.each(['rejected', 'unavailable', 'timeout', 'bad-answer'] as const)(
    'opens after so many failures in a row: %s',
    (fault) => {
      const { allowed, fail, waitMs, breakers } = setUp();
      fail('app', fault, 2);
      expect(allowed('app')).toBe(true);
      fail('app', fault);
      expect(waitMs('app')).toBe(5 * minute);
      expect(breakers.state()).toEqual({ openApps: 1, shared: 'closed' });
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
    const { allowed, breakers, fail } = setUp();
    for (let i = 0; i < 100; i++) fail(`bad ${i}`, 'rejected', 3);
    expect(allowed('good')).toBe(true);
    expect(breakers.state()).toEqual({ openApps: 100, shared: 'closed' });
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
    const { allowed, breakers, fail, post } = setUp();
    for (let cycle = 0; cycle < 3; cycle++) {
      for (const bad of ['a', 'b', 'c']) {
        fail(bad, 'unavailable');
        post('good', scaled);
      }
    }
    expect(breakers.state()).toEqual({ openApps: 3, shared: 'closed' });
    expect(allowed('good')).toBe(true);
  });

  test('a refusal takes back that the app was a witness of an outage', () => {
    const { breakers, fail } = setUp();
    fail('a', 'unavailable');
    fail('a', 'rejected');
    fail('b', 'unavailable');
    fail('c', 'unavailable');
    expect(breakers.state().shared).toBe('closed');
    fail('d', 'unavailable');
    expect(breakers.state().shared).toBe('open');
  });
});

describe('an outage of the scaling engine', () => {
  test.each(['unavailable', 'timeout', 'bad-answer'] as const)(
    'is seen when three different apps fail in a row: %s',
    (fault) => {
      const { breakers, fail, waitMs } = setUp();
      fail('a', fault);
      fail('b', fault);
      expect(waitMs('d')).toBe(0);
      fail('c', fault);
      expect(breakers.state().shared).toBe('open');
      for (const appId of ['a', 'b', 'c', 'd']) expect(waitMs(appId)).toBe(2000);
    },
  );

  test('is seen at once where no connection can be made, and is not counted for the app', async () => {
    const { clock, breakers, fail, post, waitMs } = setUp({ consecutiveFailureCount: 1 });
    fail('a', 'no-connection');
    expect(waitMs('a')).toBe(2000);
    await clock.advance(2000);
    expect(post('a', scaled)).not.toBeNull();
    expect(breakers.state()).toEqual({ openApps: 0, shared: 'closed' });
  });

  test('silences no app for minutes: its failures are taken back, opened breakers too', async () => {
    const { clock, allowed, breakers, fail, post } = setUp();
    fail('a', 'unavailable', 3);
    expect(breakers.state().openApps).toBe(1);
    fail('b', 'unavailable', 2);
    fail('c', 'unavailable');
    expect(breakers.state()).toEqual({ openApps: 0, shared: 'open' });
    await clock.advance(2000);
    post('d', scaled);
    for (const appId of ['a', 'b', 'c']) expect(allowed(appId)).toBe(true);
    fail('b', 'rejected', 2);
    expect(allowed('b')).toBe(true);
  });

  test('takes back only its own failures: what an app had before stays', async () => {
    const { clock, fail, waitMs } = setUp();
    fail('a', 'rejected', 2);
    fail('a', 'unavailable');
    expect(waitMs('a')).toBe(5 * minute);
    fail('b', 'no-connection');
    expect(waitMs('a')).toBe(2000);
    await clock.advance(2000);
    fail('b', 'rejected');
    fail('a', 'rejected');
    expect(waitMs('a')).toBe(5 * minute);
  });

  test('gives no app back what a new policy has put right meanwhile', async () => {
    const { clock, breakers, fail, waitMs } = setUp();
    fail('a', 'rejected', 2);
    fail('a', 'unavailable');
    breakers.policyChanged('a');
    fail('b', 'no-connection');
    await clock.advance(2000);
    fail('b', 'rejected');
    fail('a', 'rejected', 2);
    expect(waitMs('a')).toBe(0);
  });

  test('counts nothing for posts that were in flight when it was seen', async () => {
    const { clock, breakers, post } = setUp({ consecutiveFailureCount: 1 });
    const inFlight = Array.from({ length: 50 }, (_, i) => `app ${i}`);
    for (const appId of inFlight) breakers.posting(appId);
    for (const appId of inFlight) breakers.record(appId, failed('timeout'));
    await clock.advance(2000);
    post('app 7', scaled);
    expect(breakers.state()).toEqual({ openApps: 0, shared: 'closed' });
  });

  test('excuses no refusal that comes in while it lasts', async () => {
    const { clock, breakers, fail } = setUp({ consecutiveFailureCount: 1 });
    breakers.posting('refused');
    fail('a', 'no-connection');
    breakers.record('refused', failed('rejected'));
    expect(breakers.state()).toEqual({ openApps: 1, shared: 'open' });
    await clock.advance(2000);
    expect(breakers.state().shared).toBe('half-open');
  });

  test('is over as soon as any post succeeds', () => {
    const { allowed, breakers, fail } = setUp();
    breakers.posting('slow');
    fail('a', 'no-connection');
    breakers.record('slow', scaled);
    expect(allowed('a')).toBe(true);
  });
});

describe('a half-open shared breaker', () => {
  test('is told to all apps with its first opening', async () => {
    const { breakers, clock, fail, post, waitMs } = setUp();
    fail('a', 'no-connection');
    const sinceMs = clock.now();
    await clock.advance(2_000);
    fail('b', 'no-connection');
    const untilMs = clock.now() + waitMs('any');
    expect(breakers.openFor('any')).toEqual([{ scope: 'all', sinceMs, untilMs }]);
    await clock.advance(waitMs('any'));
    expect(breakers.openFor('any')).toEqual([{ scope: 'all', sinceMs, untilMs }]);
    post('any', scaled);
    expect(breakers.openFor('any')).toEqual([]);
  });

  test('lets one probe pass at a time', async () => {
    const { clock, allowed, breakers, fail } = setUp();
    fail('a', 'no-connection');
    await clock.advance(2000);
    expect(breakers.state().shared).toBe('half-open');
    expect(allowed('b')).toBe(true);
    breakers.posting('b');
    expect(allowed('c')).toBe(false);
    breakers.record('b', scaled);
    expect(allowed('c')).toBe(true);
    expect(breakers.state().shared).toBe('closed');
  });

  test('gives the turn back when the probe was not sent', async () => {
    const { clock, allowed, breakers, fail } = setUp();
    fail('a', 'no-connection');
    await clock.advance(2000);
    breakers.posting('b');
    breakers.abandoned('other');
    expect(allowed('c')).toBe(false);
    breakers.abandoned('b');
    expect(allowed('c')).toBe(true);
  });

  test('opens for twice as long at every failed probe, up to 30 s', async () => {
    const { clock, fail, waitMs } = setUp();
    fail('first', 'no-connection');
    for (const [i, secs] of [2, 4, 8, 16, 30, 30].entries()) {
      expect(waitMs('other')).toBe(secs * 1000);
      await clock.advance(secs * 1000);
      fail(`probe ${i}`, 'no-connection');
    }
  });

  test('begins again with 2 s after a success', async () => {
    const { clock, fail, post, waitMs } = setUp();
    fail('a', 'no-connection');
    await clock.advance(2000);
    fail('b', 'no-connection');
    await clock.advance(4000);
    post('c', scaled);
    fail('a', 'no-connection');
    expect(waitMs('b')).toBe(2000);
  });

  test('lets others go first after a failed probe, so that one bad app cannot keep it open', async () => {
    const { clock, allowed, fail, post, waitMs } = setUp();
    for (const appId of ['bad', 'b', 'c']) fail(appId, 'unavailable');
    await clock.advance(2000);
    fail('bad', 'unavailable');
    await clock.advance(4000);
    expect(waitMs('bad')).toBe(2000);
    expect(post('good', scaled)).not.toBeNull();
    expect(allowed('bad')).toBe(true);
  });

  test('probes with the same app again when no other comes', async () => {
    const { clock, allowed, fail } = setUp();
    fail('only', 'no-connection');
    await clock.advance(2000);
    fail('only', 'no-connection');
    await clock.advance(6000);
    expect(allowed('only')).toBe(true);
  });

  test('does not take an app whose own breaker is open', async () => {
    const { clock, allowed, fail } = setUp();
    fail('bad', 'rejected', 3);
    fail('a', 'no-connection');
    await clock.advance(2000);
    expect(allowed('bad')).toBe(false);
    expect(allowed('b')).toBe(true);
  });

  test('closes at a refusal, which only a working engine can give; the refusal counts for its app', async () => {
    const { clock, breakers, fail } = setUp({ consecutiveFailureCount: 1 });
    for (const appId of ['a', 'b', 'c']) fail(appId, 'unavailable');
    await clock.advance(2000);
    fail('bad', 'rejected');
    expect(breakers.state()).toEqual({ openApps: 1, shared: 'closed' });
  });

  test('stays open at an answer that is no better than those it opened for', async () => {
    const { clock, breakers, fail } = setUp({ consecutiveFailureCount: 1 });
    for (const appId of ['a', 'b', 'c']) fail(appId, 'unavailable');
    await clock.advance(2000);
    fail('d', 'unavailable');
    expect(breakers.state()).toEqual({ openApps: 0, shared: 'open' });
  });

  test("that no connection had opened closes at any answer, so that an app's own 5xx are counted again", async () => {
    const { clock, breakers, fail, waitMs } = setUp();
    fail('bad', 'no-connection');
    await clock.advance(2000);
    fail('bad', 'unavailable', 3);
    expect(breakers.state()).toEqual({ openApps: 1, shared: 'closed' });
    expect(waitMs('bad')).toBe(5 * minute);
  });
});

test('forgotten apps leave nothing, also when an outage takes its failures back', () => {
  const { breakers, fail } = setUp({ consecutiveFailureCount: 1 });
  fail('gone', 'rejected');
  fail('gone', 'unavailable');
  breakers.forget('gone');
  fail('b', 'rejected');
  breakers.forget('b');
  fail('c', 'no-connection');
  expect(breakers.state().openApps).toBe(0);
});

test('whatever the engine answers to others, an app without failures waits 30 s at most', async () => {
  const faults = fc.constantFrom<TriggerFailure[]>(
    'no-connection',
    'timeout',
    'unavailable',
    'rejected',
    'bad-answer',
  );
  const step = fc.record({
    app: fc.constantFrom('a', 'b', 'c', 'd'),
    fault: fc.option(faults, { nil: null }),
    pauseMs: fc.constantFrom(0, 0, 500, 40_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, post, waitMs } = setUp();
      for (const { app, fault, pauseMs } of steps) {
        post(app, fault === null ? scaled : failed(fault));
        if (pauseMs > 0) await clock.advance(pauseMs);
      }
      expect(waitMs('good')).toBeLessThanOrEqual(30_000);
    }),
    { numRuns: 100 },
  );
});

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TriggerFailure } from '../../src/scaling-engine/trigger-result.js';
import { failed, minute, scaled, setUp } from './breakers-scene.js';

describe('an outage of the scaling engine', () => {
  test.each(['unavailable', 'timeout', 'bad-answer'] as const)(
    'is seen when three different apps fail in a row: %s',
    (fault) => {
      const { fail, waitMs, state } = setUp();
      fail('a', fault);
      fail('b', fault);
      expect(waitMs('d')).toBe(0);
      fail('c', fault);
      expect(state().shared).toBe('open');
      for (const appId of ['a', 'b', 'c', 'd']) expect(waitMs(appId)).toBe(2000);
    },
  );

  test('is seen at once where no connection can be made, and is not counted for the app', async () => {
    const { clock, fail, post, waitMs, state } = setUp({ consecutiveFailureCount: 1 });
    fail('a', 'no-connection');
    expect(waitMs('a')).toBe(2000);
    await clock.advance(2000);
    expect(post('a', scaled)).not.toBeNull();
    expect(state()).toEqual({ openApps: 0, shared: 'closed' });
  });

  test('silences no app for minutes: its failures are taken back, opened breakers too', async () => {
    const { clock, allowed, fail, post, state } = setUp();
    fail('a', 'unavailable', 3);
    expect(state().openApps).toBe(1);
    fail('b', 'unavailable', 2);
    fail('c', 'unavailable');
    expect(state()).toEqual({ openApps: 0, shared: 'open' });
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
    const { clock, breakers, post, state } = setUp({ consecutiveFailureCount: 1 });
    const inFlight = Array.from({ length: 50 }, (_, i) => `app ${i}`);
    for (const appId of inFlight) breakers.posting(appId);
    for (const appId of inFlight) breakers.record(appId, failed('timeout'));
    await clock.advance(2000);
    post('app 7', scaled);
    expect(state()).toEqual({ openApps: 0, shared: 'closed' });
  });

  test('excuses no refusal that comes in while it lasts', async () => {
    const { clock, breakers, fail, state } = setUp({ consecutiveFailureCount: 1 });
    breakers.posting('refused');
    fail('a', 'no-connection');
    breakers.record('refused', failed('rejected'));
    expect(state()).toEqual({ openApps: 1, shared: 'open' });
    await clock.advance(2000);
    expect(state().shared).toBe('half-open');
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
    const { clock, allowed, breakers, fail, state } = setUp();
    fail('a', 'no-connection');
    await clock.advance(2000);
    expect(state().shared).toBe('half-open');
    expect(allowed('b')).toBe(true);
    breakers.posting('b');
    expect(allowed('c')).toBe(false);
    breakers.record('b', scaled);
    expect(allowed('c')).toBe(true);
    expect(state().shared).toBe('closed');
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
    const { clock, fail, state } = setUp({ consecutiveFailureCount: 1 });
    for (const appId of ['a', 'b', 'c']) fail(appId, 'unavailable');
    await clock.advance(2000);
    fail('bad', 'rejected');
    expect(state()).toEqual({ openApps: 1, shared: 'closed' });
  });

  test('stays open at an answer that is no better than those it opened for', async () => {
    const { clock, fail, state } = setUp({ consecutiveFailureCount: 1 });
    for (const appId of ['a', 'b', 'c']) fail(appId, 'unavailable');
    await clock.advance(2000);
    fail('d', 'unavailable');
    expect(state()).toEqual({ openApps: 0, shared: 'open' });
  });

  test("that no connection had opened closes at any answer, so that an app's own 5xx are counted again", async () => {
    const { clock, fail, waitMs, state } = setUp();
    fail('bad', 'no-connection');
    await clock.advance(2000);
    fail('bad', 'unavailable', 3);
    expect(state()).toEqual({ openApps: 1, shared: 'closed' });
    expect(waitMs('bad')).toBe(5 * minute);
  });
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

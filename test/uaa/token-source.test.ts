import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Clock } from '../../src/util/clock.js';
import type { UaaConfig } from '../../src/config/config.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { TokenSource } from '../../src/uaa/token-source.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { ManualClock } from '../support/manual-clock.js';
import { RecordingLogger } from '../tls/recording-logger.js';
import { answer, badCredentials, hang, startFakeUaa, type FakeUaa } from './fake-uaa.js';

const second = 1000;
const minute = 60 * second;

let uaa: FakeUaa;
let clock: ManualClock;
let logger: RecordingLogger;
let metrics: Metrics;
let source: TokenSource;
// Hundreds of tokens, each on a connection of its own: TLS is for the tests of the request.
beforeAll(async () => void (uaa = await startFakeUaa({ isPlain: true })));
afterAll(() => uaa.close());
beforeEach(() => {
  uaa.reset();
  clock = new ManualClock();
  logger = new RecordingLogger();
  metrics = createMetrics();
  source = create({ type: 'client_credentials' });
});
afterEach(() => {
  source.close();
  expect(clock.pendingTimers).toBe(0);
});

function create(grant: UaaConfig['grant'], timers: Clock = clock): TokenSource {
  const config = {
    url: uaa.url,
    clientId: 'eventgenerator',
    clientSecret: 'hidden',
    grant,
    skipSslValidation: false,
  };
  return new TokenSource(config, {
    clock: timers,
    logger,
    metrics,
    roots: fixedAuthorities(uaa.roots),
    random: () => 0,
  });
}

function refresh(rejected: string, ...appIds: string[]): Promise<string | null> {
  return source.refreshAfterRejection(rejected, appIds.length > 0 ? appIds : ['an app']);
}

/** A request for the app as a collector makes it: once more with a newer token, if there is one. Whether it succeeded. */
async function request(appId: string, isServed: (authorization: string) => boolean): Promise<boolean> {
  const first = await source.authorization();
  const authorization = isServed(first) ? first : await refresh(first, appId);
  if (authorization === null || !isServed(authorization)) return false;
  source.accepted(authorization, [appId]);
  return true;
}

/** Seconds between the requests for tokens, while something happens every 5 s. */
async function pausesBetweenTokens(totalSecs: number, happen: () => Promise<unknown>): Promise<number[]> {
  const askedAt: number[] = [];
  for (let at = 0; at < totalSecs; at += 5) {
    const before = uaa.requests.length;
    await happen();
    if (uaa.requests.length > before) askedAt.push(at);
    await clock.advance(5 * second);
  }
  return askedAt.slice(1).map((at, i) => at - (askedAt[i] ?? 0));
}

/** Lets real network answers arrive while the clock stands still. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

async function answered(): Promise<number> {
  const { values } = await metrics.tokenRequests.get();
  return values.reduce((sum, { value }) => sum + value, 0);
}

/** Moves time until a background request starts, and waits for its answer. */
async function advanceThroughRequest(ms: number): Promise<void> {
  const before = await answered();
  await clock.advance(ms);
  await until(async () => (await answered()) > before);
}

/** Moves in steps, so that every request that falls due is answered before time goes on. */
async function run(totalMs: number, stepMs: number): Promise<void> {
  for (let passed = 0; passed < totalMs; passed += stepMs) {
    await clock.advance(stepMs);
    await until(async () => (await answered()) === uaa.requests.length);
  }
}

async function age(): Promise<number | undefined> {
  return (await metrics.tokenAgeSeconds.get()).values[0]?.value;
}

test('callers share one request, and later ones its token', async () => {
  expect(await age()).toBe(-1);
  const all = await Promise.all(Array.from({ length: 50 }, () => source.authorization()));
  expect(new Set(all)).toEqual(new Set(['bearer token-1']));
  await clock.advance(minute);
  expect(await source.authorization()).toBe('bearer token-1');
  expect(uaa.requests).toHaveLength(1);
  expect(await age()).toBe(60);
  expect(logger.events()).toEqual([]);
});

test('a token is renewed in the background at four fifths of its life, whatever the wall clock does', async () => {
  uaa.lifetimeSecs = 1000;
  await source.authorization();
  clock.jumpWallClock(365 * 24 * 60 * minute);
  await clock.advance(799 * second);
  expect(uaa.requests).toHaveLength(1);
  await advanceThroughRequest(second);
  expect(await source.authorization()).toBe('bearer token-2');
});

test('the life of a token counts from the request, not from the answer', async () => {
  uaa.lifetimeSecs = 10;
  let respond = () => {};
  uaa.next((response) => {
    respond = () =>
      answer(200, '{"access_token":"slow","token_type":"bearer","expires_in":10}')(response, response.req);
  });
  const first = source.authorization();
  await until(() => uaa.requests.length === 1);
  await clock.advance(4 * second);
  respond();
  expect(await first).toBe('bearer slow');
  expect(await age()).toBe(4);
  await advanceThroughRequest(4 * second);
  expect(await source.authorization()).toBe('bearer token-1');
});

test.each([0, 0.001, 1, 2, 60])(
  'tokens that live for %d s make no hot loop and no negative wait',
  async (lifetimeSecs) => {
    uaa.lifetimeSecs = lifetimeSecs;
    await source.authorization();
    const secs = 20;
    for (let i = 0; i < secs * 2; i++) {
      await run(500, 500);
      expect(await source.authorization()).toMatch(/^bearer token-/);
    }
    expect(uaa.requests.length).toBeLessThanOrEqual(1 + secs / Math.max(1, 0.8 * lifetimeSecs));
  },
);

test('tokens that live for years do not overrun the timers', async () => {
  uaa.lifetimeSecs = 1e12;
  await source.authorization();
  expect(clock.nextTimerInMs).toBeLessThan(2 ** 31);
});

test('an outage is backed off from: callers fail at once, one line says so, one that it is over', async () => {
  uaa.always(answer(503, '<html>', 'text/html'));
  await expect(source.authorization()).rejects.toMatchObject({ name: 'TokenError', kind: 'unavailable' });
  await expect(source.authorization()).rejects.toThrow(/status 503/);
  expect(uaa.requests).toHaveLength(1);
  await run(10 * minute, 5 * second);
  expect(uaa.requests.length).toBeGreaterThan(10);
  expect(uaa.requests.length).toBeLessThan(20);
  expect(await age()).toBe(-1);

  uaa.always(null);
  await run(minute, second);
  expect(await source.authorization()).toBe('bearer token-1');
  expect(logger.events()).toEqual(['token-refused', 'token-recovered']);
  expect(logger.text()).not.toContain('hidden');
});

/** Seconds until UAA is asked again. */
async function pause(): Promise<number> {
  const before = uaa.requests.length;
  let secs = 0;
  for (; uaa.requests.length === before; secs++) await run(second, second);
  return secs;
}

test('an outage and a rejection each have a back-off of their own, which begins anew', async () => {
  uaa.always(answer(503));
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'unavailable' });
  expect([await pause(), await pause(), await pause(), await pause()]).toEqual([1, 2, 4, 8]);
  uaa.always(badCredentials);
  expect(await pause()).toBe(16);
  expect([await pause(), await pause()]).toEqual([30, 60]);
  uaa.always(answer(503));
  expect(await pause()).toBe(60);
  expect([await pause(), await pause()]).toEqual([1, 2]);
  uaa.always(null);
  expect(await pause()).toBe(4);
  const token = await source.authorization();
  uaa.always(answer(503));
  expect(await refresh(token)).toBeNull();
  expect(await pause()).toBe(1);
});

test('an outage at renewal costs nothing while the old token lives', async () => {
  uaa.lifetimeSecs = 1000;
  await source.authorization();
  uaa.always(answer(500));
  await advanceThroughRequest(800 * second);
  expect(await source.authorization()).toBe('bearer token-1');
  uaa.always(null);
  await advanceThroughRequest(second);
  expect(await source.authorization()).toBe('bearer token-2');
  expect(logger.events()).toEqual(['token-refused', 'token-recovered']);
});

test('a token that expires while UAA is left alone is no token any more, and has no age', async () => {
  source.close();
  source = create({ type: 'password', username: 'jo', password: 'changed since' });
  uaa.lifetimeSecs = 1000;
  await source.authorization();
  uaa.always(badCredentials);
  await advanceThroughRequest(800 * second);
  expect(await source.authorization()).toBe('bearer token-1');
  expect(await age()).toBe(800);
  await clock.advance(200 * second);
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'credentials' });
  expect(await age()).toBe(-1);
});

test('a wrong password never locks an account: at most 3 tries within 1200 s', async () => {
  source.close();
  source = create({ type: 'password', username: 'jo', password: 'wrong' });
  uaa.always(badCredentials);
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'credentials' });
  const tries = [0];
  for (let at = 60; at <= 4 * 3600; at += 60) {
    await run(minute, second);
    await expect(source.authorization()).rejects.toMatchObject({ kind: 'credentials' });
    expect(await refresh('bearer old')).toBeNull();
    while (tries.length < uaa.requests.length) tries.push(at);
  }
  expect(tries.length).toBeGreaterThan(3);
  for (const [i, at] of tries.entries()) {
    expect(tries.slice(i).filter((later) => later - at <= 1200).length).toBeLessThanOrEqual(3);
  }
  expect(logger.events()).toEqual(['token-refused']);
});

test('a client secret that is repaired at UAA is noticed within a minute, however long it was wrong', async () => {
  uaa.always(badCredentials);
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'credentials' });
  await run(29 * second, 29 * second);
  expect(uaa.requests).toHaveLength(1);
  await run(second, second);
  expect(uaa.requests).toHaveLength(2);
  await run(60 * minute, 10 * second);
  expect(uaa.requests.length).toBeLessThan(63);
  uaa.always(null);
  await run(minute, 10 * second);
  expect(await source.authorization()).toBe('bearer token-1');
});

test('a password that is repaired at UAA is noticed within 20 min, however long it was wrong', async () => {
  source.close();
  source = create({ type: 'password', username: 'jo', password: 'wrong' });
  uaa.always(badCredentials);
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'credentials' });
  await run(255 * minute, minute);
  uaa.always(null);
  await run(20 * minute, minute);
  expect(await source.authorization()).toBe('bearer token-1');
});

test.each([
  ['45', 45],
  ['120', 60],
  ['3600', 60],
])('429 with Retry-After: %s leaves UAA alone for %d s', async (header, secs) => {
  uaa.always(answer(429, '', 'text/html', { 'retry-after': header }));
  await expect(source.authorization()).rejects.toMatchObject({ kind: 'unavailable' });
  await run((secs - 1) * second, second);
  expect(uaa.requests).toHaveLength(1);
  uaa.always(null);
  await run(second, second);
  expect(await source.authorization()).toBe('bearer token-1');
});

test('a refused token is refreshed once for everybody', async () => {
  const old = await source.authorization();
  const fresh = await Promise.all(Array.from({ length: 20 }, () => refresh(old)));
  expect(new Set(fresh)).toEqual(new Set(['bearer token-2']));
  expect(uaa.requests).toHaveLength(2);
  expect(await source.authorization()).toBe('bearer token-2');
});

test('who was refused with an older token gets the newer one at once', async () => {
  const old = await source.authorization();
  await refresh(old);
  expect(await refresh(old)).toBe('bearer token-2');
  expect(uaa.requests).toHaveLength(2);
});

const nobody = () => false;
const everybody = () => true;

test('while no app is served, the pause doubles from 10 s to 30 s', async () => {
  await source.authorization();
  const apps = ['a', 'b', 'c', 'd'];
  const pauses = await pausesBetweenTokens(3600, () => Promise.all(apps.map((app) => request(app, nobody))));
  expect(new Set(pauses.slice(0, 2))).toEqual(new Set([10, 20]));
  expect(new Set(pauses.slice(2))).toEqual(new Set([30]));
});

test('while only some apps are refused, their pause doubles up to 10 min, however many they are', async () => {
  uaa.lifetimeSecs = 7 * 24 * 3600;
  await source.authorization();
  const pauses = await pausesBetweenTokens(4 * 3600, async () => {
    await request('good', everybody);
    for (let i = 0; i < 50; i++) await request(`forbidden-${i}`, nobody);
  });
  const hour = pauses.findIndex((_, i) => pauses.slice(0, i + 1).reduce((sum, secs) => sum + secs) > 3600);
  expect(hour).toBeLessThan(20);
  for (const pause of pauses.slice(hour)) expect(pause).toBeGreaterThanOrEqual(300);
});

test('an app that is refused costs the others nothing when their token is revoked', async () => {
  uaa.lifetimeSecs = 7 * 24 * 3600;
  let revoked = new Set<string>();
  const isGood = (token: string) => !revoked.has(token);
  for (let at = 0; at < 1800; at += 5) {
    await request('forbidden', nobody);
    expect(await request('good', isGood)).toBe(true);
    if (at % 60 === 0) revoked = new Set([await source.authorization()]);
    // What is left of a pause of 10 s since the last refresh, for whichever app it was.
    await clock.advance(at % 60 === 0 ? 10 * second : 5 * second);
  }
});

test('revocations in a row are each noticed within 10 s', async () => {
  uaa.lifetimeSecs = 7 * 24 * 3600;
  const apps = ['a', 'b', 'c', 'd'];
  const revoked = new Set<string>();
  for (let i = 0; i < 60; i++) {
    revoked.add(await source.authorization());
    const served = await Promise.all(apps.map((app) => request(app, (token) => !revoked.has(token))));
    expect(served).toEqual([true, true, true, true]);
    await clock.advance(10 * second);
  }
});

test('after an auth proxy that refused at random, all apps are served within 30 s of the next cycle', async () => {
  uaa.lifetimeSecs = 7 * 24 * 3600;
  const apps = Array.from({ length: 8 }, (_, i) => `app-${i}`);
  let requests = 0;
  // Every eleventh request passes: each token serves somebody, and most apps are refused with each.
  for (let at = 0; at < 1800; at += 40) {
    for (const app of apps) await request(app, () => ++requests % 11 === 0);
    await clock.advance(40 * second);
  }
  const stale = await source.authorization();
  const isGood = (token: string) => token !== stale;
  for (const app of apps) await request(app, isGood);
  await clock.advance(30 * second);
  for (const app of apps) expect(await request(app, isGood)).toBe(true);
});

test('a timer that fires a little early asks UAA all the same', async () => {
  source.close();
  const early: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer: (delayMs, callback) => clock.setTimer(Math.max(0, delayMs - 1), callback),
  };
  source = create({ type: 'client_credentials' }, early);
  uaa.always(answer(503));
  await expect(source.authorization()).rejects.toThrow(/503/);
  await run(10 * second, second);
  expect(uaa.requests.length).toBeGreaterThan(3);
});

test('a refused token stays in use while it may not be refreshed, and UAA is not asked', async () => {
  const first = await source.authorization();
  const fresh = await refresh(first);
  expect(fresh).toBe('bearer token-2');
  for (let i = 0; i < 100; i++) expect(await refresh('bearer token-2')).toBeNull();
  expect(await source.authorization()).toBe('bearer token-2');
  expect(uaa.requests).toHaveLength(2);
});

test('a refresh that fails answers null and leaves the token in use', async () => {
  const first = await source.authorization();
  uaa.always(answer(500));
  expect(await refresh(first)).toBeNull();
  expect(await source.authorization()).toBe(first);
});

test('closing lets waiting callers go and stops renewals', async () => {
  uaa.next(hang);
  const waiting = expect(source.authorization()).rejects.toMatchObject({ kind: 'unavailable' });
  await until(() => uaa.requests.length === 1);
  source.close();
  await waiting;
  await expect(source.authorization()).rejects.toThrow(/stopping/);
  expect(logger.events()).toEqual([]);
});

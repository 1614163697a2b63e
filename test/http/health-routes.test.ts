import { afterEach, describe, expect, test } from '@jest/globals';
import { createBasicAuth } from '../../src/http/basic-auth.js';
import { healthRoutes, type HealthRoutesOptions, type Lifecycle } from '../../src/http/health-routes.js';
import type { Listener } from '../../src/http/listener.js';
import { createReadiness, type ReadinessCheck } from '../../src/http/readiness.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { ask, askListener, basic, testListener, type AskOptions } from './support.js';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

const unused = { compare: () => Promise.reject(new Error('nothing is hashed here')) };
const nobody = createBasicAuth({ username: null, password: null }, unused);
const somebody = createBasicAuth({ username: { plain: 'u' }, password: { plain: 'p' } }, unused);

function startHealth(overrides: Partial<HealthRoutesOptions> = {}) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const listener = testListener({ metrics });
  open.push(listener);
  healthRoutes({
    metrics,
    basicAuth: nobody,
    readiness: createReadiness([], clock),
    lifecycle: () => 'running',
    isObserver: false,
    clock,
    pages: null,
    metricsPaths: ['/*'],
    ...overrides,
  })(listener.app);
  return {
    clock,
    get: (path: string, options?: AskOptions) => askListener(listener, path, options),
    listener,
    /** HTTP requests in work. */
    inWork: async () => (await metrics.concurrentHttpRequests.get()).values[0]?.value,
  };
}

function check(name: string, answer: () => Promise<boolean>): ReadinessCheck & { calls: number } {
  return {
    name,
    type: 'database',
    calls: 0,
    check() {
      this.calls++;
      return answer();
    },
  };
}

describe('liveness', () => {
  test.each(['starting', 'running', 'draining'] as const)(
    'is 200 without credentials while %s',
    async (state) => {
      const { get } = startHealth({ lifecycle: () => state, basicAuth: somebody });
      expect(await get('/health/liveness')).toMatchObject({ status: 200, body: '{}' });
      expect((await get('/health/liveness', { method: 'HEAD' })).status).toBe(200);
      expect((await get('/health/liveness', { method: 'POST' })).status).toBe(405);
    },
  );
});

describe('readiness', () => {
  test('reports every component, without credentials', async () => {
    const readiness = createReadiness([check('policy_db', async () => true)], new ManualClock());
    const answer = await startHealth({ readiness, basicAuth: somebody }).get('/health/readiness');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.body).toBe(
      '{"overall_status":"UP","checks":[{"name":"policy_db","type":"database","status":"UP"}]}',
    );
  });

  test('says of an observer that it is one', async () => {
    const readiness = createReadiness([], new ManualClock());
    const answer = await startHealth({ readiness, isObserver: true }).get('/health/readiness');
    expect(answer.body).toBe('{"overall_status":"UP","checks":[],"observer":true}');
  });

  test('a component that is down does not take the instance out of the route', async () => {
    const readiness = createReadiness(
      [
        check('policy_db', async () => false),
        check('log_cache', () => Promise.reject(new Error('no'))),
        check('token', () => {
          throw new Error('at once');
        }),
        check('ownership', async () => true),
      ],
      new ManualClock(),
    );
    const answer = await startHealth({ readiness }).get('/health/readiness');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual({
      overall_status: 'DOWN',
      checks: [
        { name: 'policy_db', type: 'database', status: 'DOWN' },
        { name: 'log_cache', type: 'database', status: 'DOWN' },
        { name: 'token', type: 'database', status: 'DOWN' },
        { name: 'ownership', type: 'database', status: 'UP' },
      ],
    });
  });

  test('starting and draining do, at once', async () => {
    let state: Lifecycle = 'starting';
    const { get } = startHealth({ lifecycle: () => state });
    const statuses: number[] = [];
    for (state of ['starting', 'running', 'draining'] as const)
      statuses.push((await get('/health/readiness')).status);
    expect(statuses).toEqual([503, 200, 503]);
    expect(JSON.parse((await get('/health/readiness')).body)).toEqual({ overall_status: 'DOWN', checks: [] });
  });

  test('checks run at most every 30 s, and once for all who ask at a time', async () => {
    const clock = new ManualClock();
    const slow = check('policy_db', async () => true);
    const readiness = createReadiness([slow], clock);
    await Promise.all([readiness.report(), readiness.report(), readiness.report()]);
    await clock.advance(29_999);
    await readiness.report();
    expect(slow.calls).toBe(1);
    await clock.advance(1);
    await readiness.report();
    expect(slow.calls).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a check that hangs is down after 5 s, and is not started again until it came back', async () => {
    const clock = new ManualClock();
    let comeBack: (up: boolean) => void = () => {};
    const hanging = check('policy_db', () => new Promise((resolve) => (comeBack = resolve)));
    const readiness = createReadiness([hanging], clock);

    const first = readiness.report();
    await clock.advance(5_000);
    expect((await first).overall_status).toBe('DOWN');
    await clock.advance(30_000);
    expect((await readiness.report()).overall_status).toBe('DOWN');
    expect(hanging.calls).toBe(1);

    comeBack(true);
    await clock.advance(30_000);
    const last = readiness.report();
    await clock.advance(0);
    comeBack(true);
    expect((await last).overall_status).toBe('UP');
  });

  test('not enabled, its path is one of the others', async () => {
    const answer = await startHealth({ readiness: null }).get('/health/readiness');
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(
      (await startHealth({ readiness: null, basicAuth: somebody }).get('/health/readiness')).status,
    ).toBe(401);
  });
});

describe('metrics', () => {
  test('are rendered once a second, however many ask', async () => {
    const metrics = createMetrics();
    let rendered = 0;
    const registry = {
      contentType: metrics.registry.contentType,
      metrics: async () => `rendered ${++rendered}`,
    } as unknown as typeof metrics.registry;
    const { clock, get } = startHealth({ metrics: { registry } });
    await get('/health');
    const answers = await Promise.all(Array.from({ length: 20 }, () => get('/health')));
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['rendered 1']));
    expect(answers[0]?.headers['cache-control']).toBe('no-store');
    await clock.advance(999);
    expect((await get('/metrics')).body).toBe('rendered 1');
    await clock.advance(1);
    expect((await get('/metrics')).body).toBe('rendered 2');
  });

  test('are served on every other path, in the format of Prometheus', async () => {
    const metrics = createMetrics();
    const { get } = startHealth({ metrics });
    for (const path of ['/health', '/metrics', '/', '/any/thing?x=1']) {
      const answer = await get(path);
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
      expect(answer.body).toContain('autoscaler_eventgenerator_concurrent_http_request');
    }
    expect((await get('/health', { method: 'DELETE' })).status).toBe(405);
  });

  test('are behind basic authentication where it is configured', async () => {
    const { get } = startHealth({ basicAuth: somebody });
    for (const path of ['/health', '/metrics', '/', '/debug/pprof/profile']) {
      const answer = await get(path);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Basic realm="eventgenerator", charset="UTF-8"');
      expect(JSON.parse(answer.body)).toEqual({
        code: 'Unauthorized',
        message: 'Basic authentication is required',
      });
      expect((await get(path, { headers: basic('u', 'wrong') })).status).toBe(401);
    }
    expect((await get('/health', { headers: basic('u', 'p') })).status).toBe(200);
  });

  test('credentials that cannot be checked now are to be sent again', async () => {
    const busy = createBasicAuth(
      { username: null, password: { bcrypt: 'x' } },
      { compare: () => Promise.resolve('busy') },
    );
    const answer = await startHealth({ basicAuth: busy }).get('/health', { headers: basic('', 'p') });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
  });
});

describe('CPU profiles', () => {
  const headers = basic('u', 'p');

  test('do not exist without credentials configured', async () => {
    expect((await startHealth().get('/debug/pprof/profile?seconds=1')).status).toBe(404);
  });

  test('are taken for as long as asked, one at a time', async () => {
    const { clock, get } = startHealth({ basicAuth: somebody });
    const answering = get('/debug/pprof/profile?seconds=2', { headers });
    await clock.timersPending(1);
    expect((await get('/debug/pprof/profile?seconds=1', { headers })).status).toBe(409);
    expect(clock.nextTimerInMs).toBe(2_000);
    await clock.advance(2_000);
    const answer = await answering;
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ nodes: expect.any(Array) as unknown });
  });

  test('end when the client leaves', async () => {
    const { clock, get, listener } = startHealth({ basicAuth: somebody });
    await get('/health', { headers });
    const client = new AbortController();
    const answering = ask(`http://127.0.0.1:${listener.address()?.port}/debug/pprof/profile`, {
      headers,
      signal: client.signal,
    });
    await clock.timersPending(1);
    expect(clock.nextTimerInMs).toBe(30_000);
    client.abort();
    await expect(answering).rejects.toThrow();
    while (clock.pendingTimers > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test('are not taken for a client that left while its credentials were compared', async () => {
    let compared: ((isRight: boolean) => void) | undefined;
    const compare = () => new Promise<boolean>((resolve) => (compared = resolve));
    const basicAuth = createBasicAuth({ username: null, password: { bcrypt: 'slow' } }, { compare });
    const { clock, get, inWork } = startHealth({ basicAuth });
    const client = new AbortController();
    const asked = get('/debug/pprof/profile', { headers: basic('', 'p'), signal: client.signal });
    await eventually('credentials are compared', () => compared !== undefined);
    client.abort();
    await expect(asked).rejects.toThrow();
    await eventually('the server knows that the client left', async () => (await inWork()) === 0);
    compared?.(true);
    // Remembered credentials, so this response comes after the profile would have begun.
    expect((await get('/health', { headers: basic('', 'p') })).status).toBe(200);
    expect(clock.pendingTimers).toBe(0);
  });

  test.each(['0', '-1', '31', 'abc', '', '1&seconds=2', 'Infinity'])(
    'seconds=%s is refused',
    async (seconds) => {
      const { get } = startHealth({ basicAuth: somebody });
      expect((await get(`/debug/pprof/profile?seconds=${seconds}`, { headers })).status).toBe(400);
    },
  );
});

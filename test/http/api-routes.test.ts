import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/util/clock.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import { apiRoutes } from '../../src/http/api-routes.js';
import type { Listener } from '../../src/http/listener.js';
import { ManualClock } from '../support/manual-clock.js';
import {
  appMetric,
  ask,
  askListener,
  type AskOptions,
  fakeHistory,
  historyOf,
  recordingLogger,
  testListener,
  type FakeHistory,
} from './support.js';

const path = '/v1/apps/app-1/aggregated_metric_histories/cpu';
const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

function startApi(history: FakeHistory, clock = systemClock) {
  const logger = recordingLogger();
  const listener = testListener();
  open.push(listener);
  apiRoutes({ history, clock, logger })(listener.app);
  return {
    logger,
    get: (url: string, options?: AskOptions) => askListener(listener, url, options),
    listener,
  };
}

async function listening(history: FakeHistory, clock = systemClock) {
  const api = startApi(history, clock);
  await api.listener.listen('127.0.0.1');
  return { ...api, url: `http://127.0.0.1:${api.listener.address()?.port}${path}` };
}

/** Never yields; ends when it is let go. */
function hangingHistory(first: readonly AppMetric[] = []) {
  let reached = () => {};
  const waiting = new Promise<void>((resolve) => (reached = resolve));
  let letGo: (value: IteratorResult<readonly AppMetric[]>) => void = () => {};
  let sentFirst = first.length === 0;
  const history = fakeHistory(() => ({
    [Symbol.asyncIterator]: () => ({
      next: () => {
        if (!sentFirst) {
          sentFirst = true;
          return Promise.resolve({ done: false as const, value: first });
        }
        return new Promise<IteratorResult<readonly AppMetric[]>>((resolve) => {
          letGo = resolve;
          reached();
        });
      },
      return: async () => {
        const end = { done: true as const, value: undefined };
        letGo(end);
        return end;
      },
    }),
  }));
  return { history, waiting };
}

describe('histories', () => {
  test('are a plain JSON array; the value is text, the timestamp an exact integer', async () => {
    const { get } = startApi(historyOf([appMetric(), appMetric({ value: null, unit: '', timestampNs: 2n })]));
    const answer = await get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.body).toBe(
      '[{"app_id":"app-1","name":"cpu","value":"42","unit":"%","timestamp":1755700000123456789},' +
        '{"app_id":"app-1","name":"cpu","value":"","unit":"","timestamp":2}]',
    );
  });

  test.each([
    ['no batch', []],
    ['an empty batch', [[]]],
    ['several empty batches', [[], [], []]],
  ])('no match is an empty array, not null: %s', async (_name, batches) => {
    const { get } = startApi(historyOf(...batches));
    expect((await get(path)).body).toBe('[]');
  });

  test('batches follow each other in one array', async () => {
    const { get } = startApi(historyOf([], [appMetric()], [], [appMetric(), appMetric()], []));
    const answer = await get(path);
    expect(JSON.parse(answer.body)).toHaveLength(3);
  });

  test('what memory has completely costs no query of the database', async () => {
    const history = historyOf([appMetric({ value: 1n })]);
    const remembered = [appMetric({ value: 2n }), appMetric({ value: null, unit: '' })];
    const answer = await startApi({ ...history, fromMemory: () => remembered }).get(path);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.body).toBe((await startApi(historyOf(remembered)).get(path)).body);
    expect((await startApi({ ...history, fromMemory: () => [] }).get(path)).body).toBe('[]');
    expect(history.queries).toEqual([]);
  });

  test('the range reaches the reader; paging is left to whoever asks', async () => {
    const history = historyOf();
    const clock = new ManualClock(1_755_700_000_123);
    const { get } = startApi(history, clock);
    await get(`${path}?end=-1&order=DESC&page=1&results-per-page=50&start=0`);
    await get(`${path}?start=%2B5&end=9223372036854775807&order=asc`);
    await get(`${path}?start=+5`);
    expect(history.queries).toEqual([
      { appId: 'app-1', metricType: 'cpu', startNs: 0n, endNs: 1_755_700_000_123_000_000n, order: 'DESC' },
      { appId: 'app-1', metricType: 'cpu', startNs: 5n, endNs: 9223372036854775807n, order: 'ASC' },
      { appId: 'app-1', metricType: 'cpu', startNs: 5n, endNs: 1_755_700_000_123_000_000n, order: 'ASC' },
    ]);
  });

  test.each([
    ['start=abc', 'Error parsing start time'],
    ['start=', 'Error parsing start time'],
    ['start=%205', 'Error parsing start time'],
    ['start=99999999999999999999', 'Error parsing start time'],
    ['start=1&start=2', 'Incorrect start parameter in query string'],
    ['end=1.5', 'Error parsing end time'],
    ['end=1&end=1', 'Incorrect end parameter in query string'],
    ['order=up', 'Incorrect order parameter in query string, the value can only be ASC or DESC'],
    ['order=ASC&order=ASC', 'Incorrect order parameter in query string'],
  ])('%s is refused', async (query, message) => {
    const history = historyOf();
    const answer = await startApi(history).get(`${path}?${query}`);
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(JSON.parse(answer.body)).toEqual({ code: 'Bad-Request', message });
    expect(history.queries).toEqual([]);
  });

  test('a database that does not answer is a 500, and nothing about it is told to the client', async () => {
    const { get, logger } = startApi(
      fakeHistory(async function* () {
        yield* [];
        throw new Error('connect ECONNREFUSED 10.0.0.1:5432');
      }),
    );
    const answer = await get(path);
    expect(answer.status).toBe(500);
    expect(answer.body).toBe(
      '{"code":"Internal-Server-Error","message":"Error getting aggregated metric histories"}',
    );
    expect(logger.lines).toMatchObject([{ event: 'history-failed', data: { appId: 'app-1' } }]);
  });

  test('a reader that throws at once is a 500 as well', async () => {
    const { get } = startApi({
      ...historyOf(),
      fromDatabase: () => {
        throw new Error('pool is closed');
      },
    });
    expect((await get(path)).status).toBe(500);
  });

  test('a failure after the first byte breaks the connection instead of ending a well-formed array', async () => {
    const { url, logger } = await listening(
      fakeHistory(async function* () {
        yield [appMetric()];
        await new Promise((resolve) => setImmediate(resolve));
        yield [appMetric()];
        throw new Error('terminating connection due to administrator command');
      }),
    );
    await expect(ask(url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(logger.lines).toMatchObject([{ event: 'history-broken-off' }]);
  });

  test.each([
    ['before the first batch', []],
    ['in the middle', [appMetric()]],
  ])('a client that leaves %s lets the reader go', async (_, first) => {
    const { history, waiting } = hangingHistory(first);
    const { url } = await listening(history);
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waiting;
    client.destroy();
    await history.released;
  });

  test('a client that reads slowly slows the reader down', async () => {
    const batch = Array.from({ length: 1000 }, () => appMetric());
    let batches = 0;
    const { url } = await listening(
      fakeHistory(async function* () {
        for (; batches < 1000; batches++) yield batch;
      }),
    );
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.pause();
    client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    let before = -1;
    while (batches !== before || batches === 0) {
      before = batches;
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(batches).toBeLessThan(200);
    client.destroy();
  });

  test('a database that hangs is a 500 at the deadline', async () => {
    const { history } = hangingHistory();
    const clock = new ManualClock();
    const { get } = startApi(history, clock);
    const answering = get(path);
    await clock.timersPending(1);
    await clock.advance(60_000);
    expect((await answering).status).toBe(500);
  });

  test('an answer that takes too long is broken off at the deadline', async () => {
    const { history, waiting } = hangingHistory([appMetric()]);
    const clock = new ManualClock();
    const { url } = await listening(history, clock);
    const answering = ask(url);
    const broken = expect(answering).rejects.toMatchObject({ code: 'ECONNRESET' });
    await waiting;
    await clock.advance(60_000);
    await broken;
    await history.released;
    expect(clock.pendingTimers).toBe(0);
  });

  test('no timer is left when an answer is complete', async () => {
    const clock = new ManualClock();
    await startApi(historyOf([appMetric()]), clock).get(path);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('app ids and metric types', () => {
  const encoded = (appId: string) =>
    `/v1/apps/${encodeURIComponent(appId)}/aggregated_metric_histories/${encodeURIComponent('jobs queued')}`;

  test.each([
    'a'.repeat(255),
    'ä€😀',
    '../../etc/passwd',
    "'; drop table app_metric; --",
    '%00',
    '{{7*7}}',
    '__proto__',
  ])('%p is an id like any other', async (appId) => {
    const history = historyOf();
    const answer = await startApi(history).get(encoded(appId));
    expect([answer.status, answer.body]).toEqual([200, '[]']);
    expect(history.queries).toMatchObject([{ appId, metricType: 'jobs queued' }]);
  });

  test('a NUL byte matches nothing and is not asked for', async () => {
    const history = historyOf();
    const { get } = startApi(history);
    expect((await get(encoded('a\0b'))).body).toBe('[]');
    expect((await get('/v1/apps/a/aggregated_metric_histories/c%00pu')).body).toBe('[]');
    expect(history.queries).toEqual([]);
  });

  test('longer than any stored id is a 414, as JSON', async () => {
    const answer = await startApi(historyOf()).get(encoded('a'.repeat(256)));
    expect(answer.status).toBe(414);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'URI-Too-Long' });
  });

  test.each([
    '/v1/apps//aggregated_metric_histories/cpu',
    '/v1/apps/an-app/aggregated_metric_histories/',
    '/v1/apps/an-app/aggregated_metric_histories/?start=1',
  ])('an empty one is none: %s is a path where nothing is', async (url) => {
    const history = historyOf();
    const answer = await startApi(history).get(url);
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toEqual({ code: 'Not-Found', message: 'There is nothing at this path' });
    expect(history.queries).toEqual([]);
  });

  test.each(['/v1/apps/%zz/aggregated_metric_histories/cpu', '/v1/apps/%ff/aggregated_metric_histories/cpu'])(
    '%s is refused',
    async (url) => {
      const answer = await startApi(historyOf()).get(url);
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toEqual({ code: 'Bad-Request', message: 'The request is malformed' });
    },
  );
});

describe('methods', () => {
  test('liveness answers', async () => {
    const answer = await startApi(historyOf()).get('/v1/liveness');
    expect([answer.status, answer.body]).toEqual([200, '{}']);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const)(
    '%s is refused',
    async (method) => {
      const { get } = startApi(historyOf());
      for (const url of [path, '/v1/liveness']) {
        const answer = await get(url, {
          method,
          payload: 'x',
          headers: { 'content-type': 'a/b', 'content-length': 1 },
        });
        expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET']);
        if (method !== 'HEAD') expect(JSON.parse(answer.body)).toMatchObject({ code: 'Method-Not-Allowed' });
      }
    },
  );

  test('an error inside tells the client nothing', async () => {
    const logger = recordingLogger();
    const listener = testListener({ logger });
    open.push(listener);
    listener.app.get('/broken', () => {
      throw new Error('secret detail');
    });
    const answer = await askListener(listener, '/broken');
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body)).toEqual({
      code: 'Internal-Server-Error',
      message: 'Internal server error',
    });
    expect(logger.lines).toMatchObject([
      { event: 'request-failed', data: { method: 'GET', route: '/broken' } },
    ]);
  });
});

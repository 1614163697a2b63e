import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { apiRoutes } from '../../src/http/api-routes.js';
import { defaultLimits, type ServerLimits } from '../../src/http/limits.js';
import { type Listener } from '../../src/http/listener.js';
import { systemClock } from '../../src/util/clock.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { eventually } from '../support/eventually.js';
import {
  appMetric,
  ask,
  askListener,
  fakeHistory,
  historyOf,
  recordingLogger,
  testListener,
} from './support.js';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

async function startApi(
  limits: Partial<ServerLimits> = {},
  history = historyOf(),
  overrides: Parameters<typeof testListener>[0] = {},
) {
  const listener = testListener({
    ...overrides,
    limits: { ...defaultLimits, checkIntervalMs: 10, ...limits },
  });
  open.push(listener);
  apiRoutes({ history, clock: systemClock, logger: recordingLogger() })(listener.app);
  await listener.listen('127.0.0.1');
  const port = listener.address()?.port ?? NaN;
  return { listener, port, url: `http://127.0.0.1:${port}` };
}

/** Sends text as it is and resolves with everything that comes back until the connection ends. */
async function sendRaw(port: number, ...pieces: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
  socket.on('error', () => {}); // a server that has said enough may reset
  const closed = once(socket, 'close');
  for (const piece of pieces) socket.write(piece);
  await closed;
  return received;
}

function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

async function stillAnswers(url: string): Promise<void> {
  expect((await ask(`${url}/v1/liveness`)).status).toBe(200);
}

describe('oversized requests', () => {
  test('a URL of 1 MB is refused', async () => {
    const { port, url } = await startApi();
    const answer = await sendRaw(port, `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    expect(bodyOf(answer)).toEqual({
      code: 'Request-Header-Fields-Too-Large',
      message: 'The request line and headers are too large',
    });
    await stillAnswers(url);
  });

  test('headers above the limit are refused, a certificate in one is not near it', async () => {
    const { url } = await startApi();
    const header = (length: number) => ({ headers: { 'x-forwarded-client-cert': 'A'.repeat(length) } });
    expect((await ask(`${url}/v1/liveness`, header(24_000))).status).toBe(200);
    expect((await ask(`${url}/v1/liveness`, header(33_000))).status).toBe(431);
  });

  test('a body that is too large is refused, one that is not wanted is ignored', async () => {
    const { url } = await startApi();
    const post = (payload: string) =>
      ask(`${url}/v1/liveness`, { method: 'GET', payload, headers: { 'content-length': payload.length } });
    expect((await post('{"not": "json')).status).toBe(200);
    const answer = await ask(`${url}/nothing`, {
      method: 'POST',
      payload: 'x'.repeat(17_000),
      headers: { 'content-type': 'text/plain', 'content-length': 17_000 },
    });
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toEqual({
      code: 'Payload-Too-Large',
      message: 'The request body is too large',
    });
    await stillAnswers(url);
  });

  test.each([
    ['no HTTP', 'Hello\r\n\r\n'],
    ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['no Host', 'GET /v1/liveness HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['a raw NUL byte', 'GET /v1/apps/a\0b/aggregated_metric_histories/cpu HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('what is no request is refused: %s', async (_name, text) => {
    const { port, url } = await startApi();
    const answer = await sendRaw(port, text);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(bodyOf(answer)).toMatchObject({ code: 'Bad-Request' });
    await stillAnswers(url);
  });
});

test.each([
  ['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n', 405],
  [
    'an upgrade',
    'GET /v1/liveness HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n',
    200,
  ],
  [
    'an expectation',
    'GET /v1/liveness HTTP/1.1\r\nHost: x\r\nExpect: the best\r\nConnection: close\r\n\r\n',
    200,
  ],
])('%s is answered with a body of our own', async (_name, text, status) => {
  const { port, url } = await startApi();
  const answer = await sendRaw(port, text);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(bodyOf(answer)).toEqual(
    status === 200 ? {} : expect.objectContaining({ code: 'Method-Not-Allowed' }),
  );
  await stillAnswers(url);
});

describe('slow clients', () => {
  test('a connection that sends nothing is ended', async () => {
    const { port } = await startApi({ headersTimeoutMs: 50, requestTimeoutMs: 100 });
    expect(await sendRaw(port)).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('headers that do not end are refused', async () => {
    const { port } = await startApi({ headersTimeoutMs: 50, requestTimeoutMs: 100 });
    const answer = await sendRaw(port, 'GET /v1/liveness HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(bodyOf(answer)).toMatchObject({ code: 'Request-Timeout' });
  });

  test('a body that does not end is refused', async () => {
    const { port } = await startApi({ headersTimeoutMs: 50, requestTimeoutMs: 100 });
    const answer = await sendRaw(
      port,
      'POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nx',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a client that does not read its answer loses it, and the reader is let go', async () => {
    const batch = Array.from({ length: 5000 }, () => appMetric());
    const history = fakeHistory(async function* () {
      for (;;) yield batch;
    });
    const { port } = await startApi({ idleTimeoutMs: 100 }, history);
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.pause();
    socket.write('GET /v1/apps/a/aggregated_metric_histories/cpu HTTP/1.1\r\nHost: x\r\n\r\n');
    await history.released;
    socket.destroy();
  });
});

test('connections above the limit are not accepted', async () => {
  const { port, url } = await startApi({ maxConnections: 1 });
  const first = connect(port, '127.0.0.1');
  first.write('GET /v1/liveness HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(first, 'data');
  await expect(ask(`${url}/v1/liveness`)).rejects.toThrow();
  first.destroy();
});

describe('requests sent without waiting for answers', () => {
  const request = (i: number) =>
    `GET /v1/apps/a/aggregated_metric_histories/type-${i} HTTP/1.1\r\nHost: x\r\n`;

  test('are answered in their order, one at a time', async () => {
    let running = 0;
    let most = 0;
    const history = fakeHistory(async function* () {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      yield [appMetric()];
    });
    const { port } = await startApi({}, history);
    const asked = Array.from({ length: 200 }, (_, i) => `type-${i}`);
    const last = `${request(asked.length)}Connection: close\r\n\r\n`;
    const received = await sendRaw(port, `${asked.map((_, i) => request(i)).join('\r\n')}\r\n${last}`);
    expect(received.match(/HTTP\/1.1 200 OK/g)).toHaveLength(asked.length + 1);
    expect(history.queries.map(({ metricType }) => metricType)).toEqual([...asked, `type-${asked.length}`]);
    expect(most).toBe(1);
  });

  test('are forgotten when their client leaves', async () => {
    const metrics = createMetrics();
    const history = fakeHistory(() => ({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
    }));
    const { port } = await startApi({}, history, { metrics });
    const inWork = async () => (await metrics.concurrentHttpRequests.get()).values[0]?.value;
    const socket = connect(port, '127.0.0.1');
    socket.write(`${request(1)}\r\n`.repeat(50));
    await eventually('one request in work', async () => (await inWork()) === 1);
    socket.destroy();
    await history.released;
    await eventually('none left in work', async () => (await inWork()) === 0);
    expect(history.queries).toHaveLength(1);
  });
});

test('connections are kept for the next request', async () => {
  const { port } = await startApi();
  const socket = connect(port, '127.0.0.1');
  for (let i = 0; i < 3; i++) {
    socket.write('GET /v1/liveness HTTP/1.1\r\nHost: x\r\n\r\n');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^HTTP\/1\.1 200 [\s\S]*keep-alive/);
  }
  socket.destroy();
});

test('a listener answers only where it was told to', async () => {
  const listener = testListener();
  open.push(listener);
  expect((await askListener(listener, '/')).status).toBe(404);
  expect(listener.address()?.address).toBe('127.0.0.1');
});

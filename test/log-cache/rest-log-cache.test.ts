import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import type { LogCache, LogCacheError } from '../../src/log-cache/log-cache.js';
import { createRestLogCache, type RestLogCacheOptions } from '../../src/log-cache/rest-log-cache.js';
import { type CertificateAuthority, createCertificateAuthority } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import { type Handler, restHandler, type RestServer, serveHttps } from './servers.js';
import { appId, gauge, SimulatedStore, whole } from './simulated-log-cache.js';

const request = {
  sourceId: appId,
  startNs: 1_000n,
  endNs: 2_000n,
  limit: 1000,
  names: ['cpu'],
  authorization: 'bearer secret-token',
};
const query = { query: 'q', timeSecs: 1, authorization: 'bearer secret-token' };

let authority: CertificateAuthority;
let clock: ManualClock;
let store: SimulatedStore;
let server: RestServer;
beforeAll(async () => {
  authority = await createCertificateAuthority();
});
beforeEach(async () => {
  clock = new ManualClock();
  store = new SimulatedStore();
  store.add(gauge(1_500n, 'cpu', 1));
  server = await serveHttps(authority, restHandler(store));
});
afterEach(() => server.close());

function open(options: Partial<RestLogCacheOptions> = {}): LogCache {
  return createRestLogCache({
    url: server.url,
    ca: [authority.cert],
    skipSslValidation: false,
    readTimeoutMs: 5_000,
    queryTimeoutMs: 10_000,
    clock,
    ...options,
  });
}

/** Answers with `handler` and resolves once it was called. */
function nextRequest(handler: Handler): Promise<IncomingMessage> {
  return new Promise((resolve) => {
    server.handler = (incoming, response) => {
      handler(incoming, response);
      resolve(incoming);
    };
  });
}

async function errorOf(promise: Promise<unknown>): Promise<LogCacheError> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: LogCacheError) => error,
  );
}

test('connections are kept and the token is sent as it is', async () => {
  const logCache = open();
  for (let i = 0; i < 3; i++) await logCache.read(request, whole);
  expect(new Set(server.requests.map(({ socket }) => socket)).size).toBe(1);
  expect(server.requests[0]?.headers.authorization).toBe('bearer secret-token');
});

test('requests at the same time have a connection each, and those serve again', async () => {
  const logCache = open();
  const three = () =>
    Promise.all([
      logCache.read(request, whole),
      logCache.read(request, whole),
      logCache.instantQuery(query, whole),
    ]);
  await three();
  await three();
  expect(server.requests).toHaveLength(6);
  expect(new Set(server.requests.map(({ socket }) => socket)).size).toBe(3);
  expect(server.requests[0]?.headers.host).toBe(new URL(server.url).host);
});

test('a connection that was idle for its time is closed by us, and the next request opens a new one', async () => {
  const logCache = open({ idleConnectionMs: 20 });
  await logCache.read(request, whole);
  const first = server.requests[0]?.socket;
  // The server itself keeps connections for 5 s.
  const closedByUs = new Promise((resolve) => first?.once('end', resolve));
  await closedByUs;
  await logCache.read(request, whole);
  expect(server.requests[1]?.socket).not.toBe(first);
});

test('a connection that the server will not keep is not used again', async () => {
  const logCache = open();
  server.handler = (incoming, response) => {
    response.setHeader('connection', 'close');
    restHandler(store)(incoming, response);
  };
  await logCache.read(request, whole);
  await logCache.read(request, whole);
  expect(new Set(server.requests.map(({ socket }) => socket)).size).toBe(2);
});

test('a URL with a path and a trailing slash is taken as the base', async () => {
  await open({ url: `${server.url}/proxy/` }).read(request, whole);
  expect(server.requests[0]?.url).toMatch(/^\/proxy\/api\/v1\/read\/9f0e2c1a/);
});

test('a token is never sent over plain HTTP', () => {
  expect(() => open({ url: 'http://log-cache.example.com' })).toThrow(/must begin with https:/);
});

test.each([
  [401, 'unauthorized'],
  [403, 'unauthorized'],
  [404, 'unauthorized'],
  [400, 'client-error'],
  [429, 'client-error'],
  [500, 'server-error'],
  [503, 'server-error'],
  [504, 'gave-up'],
  [302, 'bad-answer'],
  [204, 'bad-answer'],
])('status %i is the failure %s', async (status, kind) => {
  server.handler = (_request, response) => response.writeHead(status).end();
  expect(await errorOf(open().read(request, whole))).toMatchObject({ kind });
});

test('an error names status, path and what log-cache said, and no token', async () => {
  server.handler = (_request, response) =>
    response.writeHead(500).end('{"code":2,\n "message":"limit (2000) must be 1000 or less"}');
  const { message } = await errorOf(open().read(request, whole));
  expect(message).toBe(
    `log-cache answered 500 to /api/v1/read/${appId}: {"code":2, "message":"limit (2000) must be 1000 or less"}`,
  );
});

test('after an error, even one with a huge body, requests go on', async () => {
  const logCache = open();
  server.handler = (_request, response) => response.writeHead(502).end('x'.repeat(1_000_000));
  expect(await errorOf(logCache.read(request, whole))).toMatchObject({ kind: 'server-error' });
  server.handler = restHandler(store);
  expect((await logCache.read(request, whole)).envelopes).toHaveLength(1);
});

test.each([
  ['before the headers', (() => {}) satisfies Handler],
  ['in the body', ((_request, response) => response.write('{"envelopes":')) satisfies Handler],
  ['in the body of an error', ((_request, response) => response.writeHead(500).write('x')) satisfies Handler],
])('the deadline of a read covers a server that hangs %s', async (_where, handler) => {
  const asked = nextRequest(handler);
  let isOver = false;
  const failed = errorOf(open().read(request, whole)).finally(() => (isOver = true));
  await asked;
  await clock.advance(4_999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  expect(await failed).toMatchObject({ kind: 'timeout', message: expect.stringContaining('5000 ms') });
  expect(clock.pendingTimers).toBe(0);
});

test('a body that drips does not move the deadline', async () => {
  let drip: NodeJS.Timeout | undefined;
  const asked = nextRequest((incoming, response) => {
    drip = setInterval(() => response.write(' '), 1);
    incoming.socket.once('close', () => clearInterval(drip));
  });
  let isOver = false;
  const failed = errorOf(open().instantQuery(query, whole)).finally(() => (isOver = true));
  await asked;
  await clock.advance(9_999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  expect(await failed).toMatchObject({ kind: 'timeout' });
  clearInterval(drip);
});

test('a deadline ends the connection, so that a late answer cannot meet another request', async () => {
  const asked = nextRequest(() => {});
  const failed = errorOf(open().read(request, whole));
  const closed = asked.then(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
  await asked;
  await clock.advance(5_000);
  await failed;
  await closed;
});

test('a request that times out on a kept connection is not sent again', async () => {
  const logCache = open();
  await logCache.read(request, whole);
  const used = server.requests[0]?.socket;
  const asked = nextRequest(() => {});
  const failed = errorOf(logCache.read(request, whole));
  const { socket } = await asked;
  expect(socket).toBe(used);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await clock.advance(5_000);
  expect(await failed).toMatchObject({ kind: 'timeout' });
  await closed;
  server.handler = restHandler(store);
  await logCache.read(request, whole);
  expect(server.requests).toHaveLength(3);
});

test('a kept connection that the server has closed costs one more try, on a new connection', async () => {
  const logCache = open();
  await logCache.read(request, whole);
  const used = server.requests[0]?.socket;
  server.handler = (incoming, response) => {
    if (incoming.socket === used) incoming.socket.destroy();
    else restHandler(store)(incoming, response);
  };
  expect((await logCache.read(request, whole)).envelopes).toHaveLength(1);
  expect(server.requests).toHaveLength(3);
});

test('it is one more try, and none for a connection that was new', async () => {
  const logCache = open();
  await logCache.read(request, whole);
  server.handler = (incoming) => incoming.socket.destroy();
  expect(await errorOf(logCache.read(request, whole))).toMatchObject({ kind: 'connection' });
  expect(server.requests).toHaveLength(3);
  expect(await errorOf(logCache.read(request, whole))).toMatchObject({ kind: 'connection' });
  expect(server.requests).toHaveLength(4);
});

test('after the first byte of an answer there is no second try', async () => {
  const logCache = open();
  await logCache.read(request, whole);
  server.handler = (incoming, response) => {
    response.writeHead(200, { 'content-length': 1000 }).write('{');
    setImmediate(() => incoming.socket.destroy());
  };
  expect(await errorOf(logCache.read(request, whole))).toMatchObject({ kind: 'connection' });
  expect(server.requests).toHaveLength(2);
});

test.each(['', 'not json', '<html>', '[]', 'null', '{}', '{"envelopes":{"batch":[{}]}}'])(
  'a body of %j is a bad answer',
  async (body) => {
    server.handler = (_request, response) => response.end(body);
    expect(await errorOf(open().read(request, whole))).toMatchObject({ kind: 'bad-answer' });
    expect(await errorOf(open().instantQuery(query, whole))).toMatchObject({ kind: 'bad-answer' });
  },
);

test('a body larger than the limit is a bad answer and is not read to its end', async () => {
  server.handler = (incoming, response) => {
    const fill = setInterval(() => response.write('x'.repeat(10_000)), 1);
    incoming.socket.once('close', () => clearInterval(fill));
  };
  const failed = await errorOf(open({ maxBodyBytes: 100_000 }).read(request, whole));
  expect(failed).toMatchObject({ kind: 'bad-answer', message: expect.stringContaining('100000 bytes') });
});

test('a server whose certificate is not trusted is a connection failure, unless validation is skipped', async () => {
  const other = await createCertificateAuthority('Other CA');
  const failed = await errorOf(open({ ca: [other.cert] }).read(request, whole));
  expect(failed).toMatchObject({ kind: 'connection' });
  expect(failed.message).toMatch(/UNABLE_TO_VERIFY|self.signed|unable to/i);
  expect(failed.message).toMatch(
    /unknown CA: give its CA certificate as metricCollector\.tls\.ca_file, or add it/,
  );
  // Nobody who cannot prove who they are gets to see the token.
  expect(server.requests).toHaveLength(0);
  expect((await open({ ca: [], skipSslValidation: true }).read(request, whole)).envelopes).toHaveLength(1);
});

test('an app id or a token that HTTP cannot carry fails its request and nothing else', async () => {
  const logCache = open();
  expect(await errorOf(logCache.read({ ...request, authorization: 'a\nb' }, whole))).toMatchObject({
    kind: 'connection',
  });
  expect((await logCache.read({ ...request, sourceId: '\ud800\u0000' }, whole)).envelopes).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('http timers of a window that is not over by the date of the answer are a failure, a little ahead is not', async () => {
  const answer = restHandler(store);
  let date = '';
  server.handler = (incoming, response) => {
    if (date === '') response.sendDate = false;
    else response.setHeader('date', date);
    answer(incoming, response);
  };
  const logCache = open();
  const secs = 1_700_000_000;
  const asked = () => [
    logCache.instantQuery({ ...query, timeSecs: secs }, whole),
    logCache.readTimers(
      { ...request, startNs: 0n, endNs: BigInt(secs) * 1_000_000_000n, limit: 1000 },
      whole,
    ),
  ];
  for (const enough of ['', 'soon', new Date((secs - 2) * 1000).toUTCString()]) {
    date = enough;
    await Promise.all(asked());
  }
  date = new Date((secs - 3) * 1000).toUTCString();
  for (const failed of await Promise.all(asked().map(errorOf))) {
    expect(failed).toMatchObject({ kind: 'clock-ahead', message: expect.stringContaining('3 s ahead') });
  }
});

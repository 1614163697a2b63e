import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { createServer, type Server, type Socket } from 'node:net';
import { createMetrics } from '../../src/observability/metrics.js';
import { openKeyPair, type KeyPair } from '../../src/tls/key-pair.js';
import {
  createScalingEngineClient,
  type ScalingEngineClient,
} from '../../src/scaling-engine/scaling-engine-client.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { ManualClock } from '../support/manual-clock.js';
import { sendJson, startHttpsServer, type HttpsServer } from '../tls/https-server.js';
import { RecordingLogger } from '../tls/recording-logger.js';
import { triggerFor } from '../evaluation/examples.js';

const timeoutMs = 60_000;
const expiryNs = '1755700300123456789';
const scaled = `{"app_id":"an-app","status":0,"adjustment":1,"cool_down_expired_at":${expiryNs}}`;

const trigger = triggerFor('an-app');

let authority: CertificateAuthority;
let keyPair: KeyPair;
let engine: HttpsServer;
let handle: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let clock: ManualClock;
let client: ScalingEngineClient;

beforeAll(async () => {
  authority = await createCertificateAuthority('Engine CA');
  const { key, chain } = await authority.issue({ commonName: 'engine', ipAddresses: ['127.0.0.1'] });
  const tls = { key, cert: chain, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  engine = await startHttpsServer(tls, (request, response, body) => handle(request, response, body));
  const identity = await authority.issue({ commonName: 'eventgenerator' });
  keyPair = await openKeyPair({
    key: { pem: identity.key },
    cert: { pem: identity.chain },
    name: 'scaling_engine',
    clock: new ManualClock(Date.now()),
    logger: new RecordingLogger(),
    metrics: createMetrics(),
  });
});
afterAll(() => engine.close());
beforeEach(() => {
  handle = (_request, response) => sendJson(response, 200, scaled);
  clock = new ManualClock();
  client = create(engine.url);
});
afterEach(async () => {
  await client.close();
  expect(clock.pendingTimers).toBe(0);
});

function create(url: string, pair: KeyPair | null = keyPair, timeout = timeoutMs): ScalingEngineClient {
  return createScalingEngineClient({
    url,
    keyPair: pair,
    roots: fixedAuthorities([authority.cert]),
    timeoutMs: timeout,
    clock,
  });
}

/** Replaces the client by one that waits for 200 ms only, and has a connection already. */
async function becomeImpatient(): Promise<void> {
  await client.close();
  client = create(engine.url, keyPair, 200);
  while ((await client.post(trigger)).kind !== 'scaled');
}

function answer(status: number, body: string): Promise<TriggerResult> {
  handle = (_request, response) => sendJson(response, status, body);
  return client.post(trigger);
}

test('a trigger is posted as the scaling engine reads it, with its threshold exact', async () => {
  let seen = '';
  handle = (request, response, body) => {
    seen = `${request.method} ${request.url} ${request.headers['content-type']} ${body}`;
    sendJson(response, 200, scaled);
  };
  await client.post({ ...trigger, threshold: -9223372036854775807n });
  expect(seen).toBe(
    'POST /v1/apps/an-app/scale application/json {"app_id":"an-app","metric_type":"cpu","metric_unit":"%","breach_duration_secs":120,"threshold":-9223372036854775807,"operator":">","cool_down_secs":300,"adjustment":"+1"}',
  );
});

test.each<[string, string, TriggerResult]>([
  ['scaled', scaled, { kind: 'scaled', adjustment: 1, coolDownUntilMs: 1_755_700_300_124 }],
  [
    'scaled without a cool-down',
    '{"app_id":"a","status":0,"adjustment":-2,"cool_down_expired_at":0}',
    { kind: 'scaled', adjustment: -2, coolDownUntilMs: null },
  ],
  [
    'in a cool-down',
    `{"app_id":"a","status":2,"adjustment":0,"cool_down_expired_at":${expiryNs}}`,
    { kind: 'cooling-down', coolDownUntilMs: 1_755_700_300_124 },
  ],
  [
    'at its limit, or not started',
    '{"app_id":"a","status":2,"adjustment":0,"cool_down_expired_at":0}',
    { kind: 'ignored' },
  ],
])('200, %s', async (_case, body, result) => {
  expect(await answer(200, body)).toEqual(result);
});

test.each([
  '',
  'OK',
  '[]',
  'null',
  '{}',
  '{"status":1,"adjustment":0,"cool_down_expired_at":0}',
  '{"status":"0","adjustment":0,"cool_down_expired_at":0}',
  '{"status":0,"adjustment":1.5,"cool_down_expired_at":0}',
  '{"status":2,"adjustment":0,"cool_down_expired_at":1e30}',
  '{"status":2,"adjustment":0,"cool_down_expired_at":99999999999999999999}',
  '['.repeat(50_000),
  `"${'x'.repeat(100_000)}"`,
])('200 with another body (%#) is a bad answer', async (body) => {
  const result = await answer(200, body);
  expect(result).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(JSON.stringify(result)).toContain('check scaling_engine_url');
  expect(JSON.stringify(result).length).toBeLessThan(600);
});

const ccError = JSON.stringify({
  code: 'Error on request to the cloud-controller via a cf-client',
  message: 'Error taking scaling action:\n{"errors":[],"StatusCode":404}',
});

test.each<[number, string, string, string]>([
  [
    400,
    '{"code":"Bad-Request","message":"Incorrect trigger in request body"}',
    'rejected',
    'Bad-Request: Incorr',
  ],
  [404, ccError, 'rejected', 'Error taking scaling action: {'],
  [422, ccError, 'rejected', '422'],
  [401, 'Unauthorized\n', 'unavailable', '401 (Unauthorized)'],
  [403, '', 'unavailable', 'answered 403'],
  [408, '', 'unavailable', '408'],
  [429, '', 'unavailable', '429'],
  [401, ccError, 'unavailable', '401 (Error on request to the cloud-controller'],
  [403, ccError, 'unavailable', '403'],
  [408, ccError, 'unavailable', '408'],
  [429, ccError, 'unavailable', '429'],
  [499, ccError, 'rejected', '499'],
  [500, '{"code":"Internal-server-error","message":"Error taking scaling action"}', 'unavailable', '500'],
  [502, '<html>', 'unavailable', '502 (<html>)'],
  [503, 'x'.repeat(200_000), 'unavailable', '503'],
  [404, 'x'.repeat(200_000), 'unavailable', '404'],
  [204, '', 'bad-answer', '204'],
  [307, '', 'bad-answer', '307'],
])('%i %s', async (status, body, fault, message) => {
  const result = await answer(status, body);
  expect(result).toMatchObject({ kind: 'failed', fault });
  expect(result.kind === 'failed' && result.message).toContain(message);
});

test.each([301, 302, 303, 307, 308])('a redirect (%i) is not followed', async (status) => {
  const paths: (string | undefined)[] = [];
  handle = (request, response) => {
    paths.push(request.url);
    if (request.url === '/elsewhere') sendJson(response, 200, scaled);
    else response.writeHead(status, { location: `${engine.url}/elsewhere` }).end();
  };
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(paths).toEqual(['/v1/apps/an-app/scale']);
});

test.each([
  [404, "404 Not Found: Requested route ('scalingengine.example.com') does not exist.\n"],
  [404, '404 page not found\n'],
  [400, '400 Bad Request: Missing Host header\n'],
  [404, '<html>Not found</html>'],
  [410, ''],
  [404, '{"errors":[]}'],
])('a router that lost the engine (%i %j) is an outage, not the app’s fault', async (status, body) => {
  handle = (_request, response) =>
    response.writeHead(status, { 'x-cf-routererror': 'unknown_route' }).end(body);
  expect(await client.post(trigger)).toMatchObject({
    kind: 'failed',
    fault: 'unavailable',
    message: expect.stringMatching(new RegExp(`answered ${status}.* no answer of a scaling engine: check`)),
  });
});

test.each([
  ['', '/v1/apps/an-app/scale'],
  ['/', '/v1/apps/an-app/scale'],
  ['/prefix', '/prefix/v1/apps/an-app/scale'],
  ['/prefix/', '/prefix/v1/apps/an-app/scale'],
])('the base URL may end in "%s"', async (path, expected) => {
  await client.close();
  client = create(engine.url + path);
  let seen: string | undefined;
  handle = (request, response) => {
    seen = request.url;
    sendJson(response, 200, scaled);
  };
  await client.post(trigger);
  expect(seen).toBe(expected);
});

test('an app id is percent-encoded, and one that would change the path is not posted', async () => {
  const paths: (string | undefined)[] = [];
  handle = (request, response) => {
    paths.push(request.url);
    sendJson(response, 200, scaled);
  };
  await client.post({ ...trigger, app_id: 'a/../b?c#d é%' });
  expect(paths).toEqual(['/v1/apps/a%2F..%2Fb%3Fc%23d%20%C3%A9%25/scale']);
  for (const app_id of ['', '.', '..', '\ud800']) {
    expect(await client.post({ ...trigger, app_id })).toMatchObject({ kind: 'failed', fault: 'rejected' });
  }
  expect(paths).toHaveLength(1);
});

test('connections are kept for later triggers, and nothing piles up on them', async () => {
  const before = engine.connections();
  for (let i = 0; i < 30; i++) expect(await client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(engine.connections() - before).toBe(1);
});

test('a trigger that meets a connection just closed by the router is sent once more on a new one', async () => {
  const used = new Set<unknown>();
  let requests = 0;
  handle = (request, response) => {
    requests++;
    if (used.has(request.socket)) return void request.socket.destroy();
    used.add(request.socket);
    sendJson(response, 200, scaled);
  };
  expect(await client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(await client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(requests).toBe(3);
});

test('a trigger that breaks on a new connection, or after the first byte, is not sent again', async () => {
  let requests = 0;
  handle = (request) => {
    requests++;
    request.socket.destroy();
  };
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(1);

  await answer(200, scaled);
  handle = (request) => {
    requests++;
    request.socket.write('HTTP/1.1 200 OK\r\n', () => request.socket.destroy());
  };
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(2);
});

test('a connection whose router closed it costs one more try, however many others are kept', async () => {
  let waiting: ServerResponse[] = [];
  handle = (_request, response) => {
    waiting.push(response);
    if (waiting.length === 3) for (const each of waiting) sendJson(each, 200, scaled);
  };
  await Promise.all([client.post(trigger), client.post(trigger), client.post(trigger)]);
  const stale = new Set(waiting.map(({ req }) => req.socket));
  let requests = 0;
  handle = (request, response) => {
    requests++;
    if (stale.has(request.socket)) request.socket.destroy();
    else sendJson(response, 200, scaled);
  };
  waiting = [];
  expect(await client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(requests).toBe(2);
});

test('it is sent once more only', async () => {
  await client.post(trigger);
  let requests = 0;
  handle = (request) => {
    requests++;
    request.socket.destroy();
  };
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(2);
});

test('a connection that is closed after the deadline is no reason to send again', async () => {
  await client.post(trigger);
  let requests = 0;
  handle = (request) => {
    requests++;
    void clock.advance(timeoutMs).then(() => request.socket.destroy());
  };
  expect(await client.post(trigger)).toMatchObject({
    fault: 'no-connection',
    message: expect.stringContaining('closed by the other side') as unknown,
  });
  expect(requests).toBe(1);
});

test('what is sent again has the rest of the deadline', async () => {
  const hourMs = 3_600_000;
  await client.close();
  client = create(engine.url, keyPair, hourMs);
  await client.post(trigger);
  let requests = 0;
  handle = (request) => {
    if (++requests === 1) void clock.advance(hourMs - 300).then(() => request.socket.destroy());
  };
  expect(await client.post(trigger)).toMatchObject({
    kind: 'failed',
    message: expect.stringContaining(`within ${hourMs} ms`) as unknown,
  });
});

test('a scaling engine that hangs is given up at the deadline', async () => {
  await becomeImpatient();
  handle = () => {};
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'timeout' });
});

test('a response that does not end is given up at the deadline as well', async () => {
  await becomeImpatient();
  let begun = false;
  handle = (_request, response) => {
    response.writeHead(200);
    response.write('{"app_id":', () => (begun = true));
  };
  do {
    expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'timeout' });
  } while (!begun);
});

test.each([
  [200, 'bad-answer', 'far too large a body'],
  [503, 'unavailable', 'answered 503'],
])('a response (%i) beyond 64 kB is not read to its end', async (status, fault, message) => {
  handle = (_request, response) => {
    response.writeHead(status);
    const endless = () => void (response.destroyed || response.write('x'.repeat(10_000), endless));
    endless();
  };
  const result = await client.post(trigger);
  expect(result).toMatchObject({ kind: 'failed', fault });
  expect(result.kind === 'failed' && result.message).toContain(message);
});

/** A TCP server that speaks no TLS; resolves when the first connection is there. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<{ server: Server; url: string }> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return { server, url: `127.0.0.1:${address.port}` };
}

test('where no connection comes up before the deadline, no app is to blame', async () => {
  const { server, url } = await rawServer((socket) => socket.on('error', () => {}).resume());
  const silent = create(`https://${url}`, keyPair, 100);
  expect(await silent.post(trigger)).toMatchObject({
    kind: 'failed',
    fault: 'no-connection',
    message: expect.stringContaining('could not be connected within 100 ms') as unknown,
  });
  await silent.close();
  await new Promise((resolve) => server.close(resolve));
});

test('what speaks no HTTP is a bad answer', async () => {
  const { server, url } = await rawServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('SSH-2.0-OpenSSH\r\n'));
  });
  const plain = create(`http://${url}`, null);
  expect(await plain.post(trigger)).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  await plain.close();
  await new Promise((resolve) => server.close(resolve));
});

test.each([
  [200, 'gzip', gzipSync(scaled)],
  [500, 'gzip', gzipSync(ccError)],
  [404, 'GZIP', Buffer.from('no gzip at all')],
  [422, 'br', brotliCompressSync(ccError)],
  [200, 'x'.repeat(5000), Buffer.from(scaled)],
])('an answer (%i) in an encoding that was not asked for is a bad answer', async (status, encoding, body) => {
  let asked: unknown;
  handle = (request, response) => {
    asked = request.headers['accept-encoding'];
    response.writeHead(status, { 'content-encoding': encoding }).end(body);
  };
  const result = await client.post(trigger);
  expect(asked).toBe('identity');
  expect(result).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(result.kind === 'failed' && result.message).toContain(`answered ${status} in the encoding "`);
  expect(JSON.stringify(result).length).toBeLessThan(300);
});

test('an encoding that is none, or of no body, is no trouble', async () => {
  handle = (_request, response) => response.writeHead(200, { 'content-encoding': 'Identity' }).end(scaled);
  expect(await client.post(trigger)).toMatchObject({ kind: 'scaled' });
  handle = (_request, response) => response.writeHead(503, { 'content-encoding': 'gzip' }).end();
  expect(await client.post(trigger)).toMatchObject({ fault: 'unavailable' });
});

test('a body that is nested very deeply is a bad answer', async () => {
  for (const body of ['['.repeat(60_000), '{"a":'.repeat(12_000), '['.repeat(30_000) + ']'.repeat(30_000)]) {
    expect(await answer(200, body)).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
    expect(await answer(404, body)).toMatchObject({ kind: 'failed', fault: 'unavailable' });
  }
});

test('nothing listening, an unknown authority and a missing client certificate are told apart', async () => {
  const nobody = create('https://127.0.0.1:1');
  const stranger = createScalingEngineClient({
    url: engine.url,
    keyPair,
    roots: fixedAuthorities([(await createCertificateAuthority('Other CA')).cert]),
    timeoutMs,
    clock,
  });
  const anonymous = create(engine.url, null);
  const expected: [ScalingEngineClient, RegExp][] = [
    [nobody, /nothing listens there \(ECONNREFUSED\)/],
    [stranger, /unknown authority.*ca_file/],
    [anonymous, /demands a client certificate/],
  ];
  for (const [other, message] of expected) {
    const result = await other.post(trigger);
    expect(result).toMatchObject({ kind: 'failed', fault: 'no-connection' });
    expect(result.kind === 'failed' && result.message).toMatch(message);
    await other.close();
  }
});

test('a server that offers no more than TLS 1.2, with an ECDSA certificate, is good enough', async () => {
  const { key, chain } = await authority.issue({ commonName: 'old', ipAddresses: ['127.0.0.1'] });
  const old = await startHttpsServer({ key, cert: chain, maxVersion: 'TLSv1.2' }, (_request, response) =>
    sendJson(response, 200, scaled),
  );
  const other = create(old.url);
  expect(await other.post(trigger)).toMatchObject({ kind: 'scaled' });
  await other.close();
  await old.close();
});

test('closing aborts what is under way, and nothing is posted afterwards', async () => {
  let arrived = () => {};
  const arrival = new Promise<void>((resolve) => (arrived = resolve));
  let requests = 0;
  handle = () => {
    requests++;
    arrived();
  };
  const result = client.post(trigger);
  await arrival;
  await client.close();
  expect(await result).toMatchObject({
    fault: 'no-connection',
    message: expect.stringMatching('stopping') as unknown,
  });
  expect(await client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(1);
});

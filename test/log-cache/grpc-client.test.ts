import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { createGrpcClient, type GrpcClient } from '../../src/log-cache/grpc-client.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';

/* The calls of one client, to a server of which every byte is written by hand. */

type Answer = (stream: ServerHttp2Stream, request: Buffer) => void;

const timeoutMs = 5_000;
const maxMessageBytes = 100_000;
let authority: Awaited<ReturnType<typeof createCertificateAuthority>>;
let identity: IssuedCertificate;
let serverIdentity: IssuedCertificate;
beforeAll(async () => {
  authority = await createCertificateAuthority();
  identity = await authority.issue({ commonName: 'eventgenerator' });
  serverIdentity = await authority.issue({ commonName: 'log-cache', dnsNames: ['log-cache'] });
});

let server: Http2SecureServer;
let sockets: Set<Socket>;
let sessions: ServerHttp2Session[];
/** What was asked, in order. */
let requests: Buffer[];
let answer: Answer;
let clock: ManualClock;
let client: GrpcClient;

beforeEach(async () => {
  sockets = new Set();
  sessions = [];
  requests = [];
  answer = respond(framed(Buffer.from('an answer')));
  clock = new ManualClock();
  server = createSecureServer({
    key: serverIdentity.key,
    cert: serverIdentity.chain,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => void sessions.push(session));
  server.on('sessionError', () => {});
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      const request = Buffer.concat(parts);
      requests.push(request);
      answer(stream, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = open((server.address() as AddressInfo).port);
});
afterEach(async () => {
  const closed = new Promise((resolve) => server.close(resolve));
  for (const socket of sockets) socket.destroy();
  await closed;
});

function open(port: number): GrpcClient {
  return createGrpcClient({
    address: `127.0.0.1:${port}`,
    ca: [authority.cert],
    key: identity.key,
    cert: identity.chain,
    serverName: 'log-cache',
    checkIdentity: () => undefined,
    maxMessageBytes,
    clock,
  });
}

const ask = () => client.call('/a.Service/Method', Buffer.from('a question'), timeoutMs, String);

function framed(message: Buffer, isCompressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(isCompressed ? 1 : 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Sends the body, then the trailers. */
function respond(
  body: Buffer,
  headers: object = {},
  trailers: Record<string, string> = { 'grpc-status': '0' },
): Answer {
  return (stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...headers },
      { waitForTrailers: true },
    );
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(body);
  };
}

/** Sends headers alone. */
function respondWithHeaders(headers: object): Answer {
  return (stream) => stream.respond({ ':status': 200, ...headers }, { endStream: true });
}

test('a call sends one message and resolves to what is made of the answer', async () => {
  expect(await ask()).toBe('an answer');
  expect(requests).toEqual([framed(Buffer.from('a question'))]);
});

test('calls share a connection', async () => {
  await Promise.all(Array.from({ length: 150 }, ask));
  expect(sessions).toHaveLength(1);
});

test('what take throws is what the call rejects with', async () => {
  const call = client.call('/a.Service/Method', Buffer.from(''), timeoutMs, () => {
    throw new TypeError('of no use');
  });
  await expect(call).rejects.toThrow(TypeError);
});

describe('an answer is bad', () => {
  test.each<[string, RegExp, Answer]>([
    ['without a message', /without a message/, respond(Buffer.alloc(0))],
    [
      'with two',
      /something else than one message/,
      respond(Buffer.concat([framed(Buffer.from('1')), framed(Buffer.from('2'))])),
    ],
    [
      'with half of one',
      /something else than one message/,
      respond(framed(Buffer.from('an answer')).subarray(0, 8)),
    ],
    ['with less than a length', /something else than one message/, respond(Buffer.from('abc'))],
    ['that is too large', /exceeds 100000 bytes/, respond(framed(Buffer.alloc(maxMessageBytes + 1)))],
    [
      'compressed in an unknown way',
      /compressed its answer with snappy/,
      respond(framed(Buffer.from('x'), true), { 'grpc-encoding': 'snappy' }),
    ],
    [
      'compressed in a way that only every object knows',
      /compressed its answer with constructor/,
      respond(framed(Buffer.from('x'), true), { 'grpc-encoding': 'constructor' }),
    ],
    [
      'compressed in no way that is said',
      /compressed its answer with undefined/,
      respond(framed(Buffer.from('x'), true)),
    ],
    [
      'that cannot be decompressed',
      /cannot be decompressed/,
      respond(framed(Buffer.from('x'), true), { 'grpc-encoding': 'gzip' }),
    ],
    [
      'that is too large when decompressed',
      /cannot be decompressed/,
      respond(framed(gzipSync(Buffer.alloc(maxMessageBytes + 1)), true), { 'grpc-encoding': 'gzip' }),
    ],
  ])('%s', async (_how, message, bad) => {
    answer = bad;
    await expect(ask()).rejects.toMatchObject({
      kind: 'bad-answer',
      message: expect.stringMatching(message),
    });
    answer = respond(framed(Buffer.from('an answer')));
    expect(await ask()).toBe('an answer');
  });
});

test('a message of just the largest size is taken', async () => {
  answer = respond(framed(Buffer.alloc(maxMessageBytes, 'x')));
  expect(await ask()).toHaveLength(maxMessageBytes);
});

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
])('an answer compressed with %s is taken', async (encoding, compress) => {
  answer = respond(framed(compress('an answer'), true), { 'grpc-encoding': encoding });
  expect(await ask()).toBe('an answer');
  answer = respond(framed(Buffer.from('not this one')), { 'grpc-encoding': encoding });
  expect(await ask()).toBe('not this one');
});

describe('the status decides', () => {
  test('in trailers, with its text percent-encoded', async () => {
    answer = respond(
      framed(Buffer.from('an answer')),
      {},
      { 'grpc-status': '7', 'grpc-message': 'n%C3%B6 %' },
    );
    await expect(ask()).rejects.toMatchObject({
      kind: 'unauthorized',
      message: 'log-cache answered PERMISSION_DENIED (7): n%C3%B6 %',
    });
    answer = respond(Buffer.alloc(0), {}, { 'grpc-status': '2', 'grpc-message': 'query%20timed%20out' });
    await expect(ask()).rejects.toMatchObject({ kind: 'gave-up', message: /UNKNOWN \(2\): query timed out/ });
  });

  test('in headers where there is nothing else', async () => {
    answer = respondWithHeaders({ 'grpc-status': '3', 'grpc-message': 'n%C3%B6' });
    await expect(ask()).rejects.toMatchObject({
      kind: 'client-error',
      message: /INVALID_ARGUMENT \(3\): nö/,
    });
  });

  test('also one that nobody knows', async () => {
    answer = respondWithHeaders({ 'grpc-status': '99' });
    await expect(ask()).rejects.toMatchObject({ kind: 'server-error', message: /an unknown status \(99\)/ });
  });

  test.each([
    [401, 'unauthorized'],
    [403, 'unauthorized'],
    [404, 'server-error'],
    [500, 'server-error'],
    [502, 'connection'],
    [503, 'connection'],
  ])('HTTP status %i of something that is no gRPC server is the failure %s', async (status, kind) => {
    answer = (stream) => {
      stream.respond({ ':status': status, 'content-type': 'text/html' });
      stream.end('<html>a page</html>');
    };
    await expect(ask()).rejects.toMatchObject({ kind, message: expect.stringContaining(String(status)) });
  });

  test('its lack is an error of the server', async () => {
    answer = respondWithHeaders({});
    await expect(ask()).rejects.toMatchObject({ kind: 'server-error', message: /without a status/ });
  });
});

const resetWith =
  (code: number): Answer =>
  (stream) =>
    stream.close(code);

test.each([
  [constants.NGHTTP2_INTERNAL_ERROR, 'server-error'],
  [constants.NGHTTP2_ENHANCE_YOUR_CALM, 'server-error'],
  [constants.NGHTTP2_INADEQUATE_SECURITY, 'unauthorized'],
  [constants.NGHTTP2_CANCEL, 'connection'],
  [constants.NGHTTP2_REFUSED_STREAM, 'connection'],
])('a call that is reset with code %i is the failure %s', async (code, kind) => {
  answer = resetWith(code);
  await expect(ask()).rejects.toMatchObject({ kind });
});

describe('what was not answered on a connection that had served before is asked once more', () => {
  const spoilOnce = (spoil: Answer, times = 1): Answer => {
    const good = answer;
    return (stream, request) => (times-- > 0 ? spoil(stream, request) : good(stream, request));
  };
  const lose: Answer = (stream) => stream.session?.destroy();

  test.each([
    ['refused', resetWith(constants.NGHTTP2_REFUSED_STREAM)],
    ['lost', lose],
  ])('where it is %s', async (_how, spoil) => {
    await ask();
    answer = spoilOnce(spoil);
    expect(await ask()).toBe('an answer');
    expect(requests).toHaveLength(3);
  });

  test('but not where a part of an answer had arrived', async () => {
    await ask();
    answer = spoilOnce((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(framed(Buffer.from('an answer')).subarray(0, 7), () => stream.session?.destroy());
    });
    await expect(ask()).rejects.toMatchObject({ kind: 'connection' });
    expect(requests).toHaveLength(2);
  });

  test('but not on a first connection, and not twice', async () => {
    answer = spoilOnce(lose);
    await expect(ask()).rejects.toMatchObject({ kind: 'connection' });
    expect(requests).toHaveLength(1);
    await ask();
    answer = spoilOnce(lose, 2);
    await expect(ask()).rejects.toMatchObject({ kind: 'connection' });
    expect(requests).toHaveLength(4);
  });
});

describe('a server that says it goes away', () => {
  test('answers what it has, and is asked on a new connection', async () => {
    await ask();
    const asked = new Promise<ServerHttp2Stream>((resolve) => (answer = resolve));
    const slow = ask();
    const stream = await asked;
    const noticed = once(sessions[0] as ServerHttp2Session, 'close');
    sessions[0]?.close();
    answer = respond(framed(Buffer.from('of the new one')));
    let next = await ask();
    // The message that it goes may be on its way still.
    while (sessions.length === 1) next = await ask();
    expect(next).toBe('of the new one');
    respond(framed(Buffer.from('of the old one')))(stream, Buffer.alloc(0));
    expect(await slow).toBe('of the old one');
    await noticed;
  });
});

describe('deadlines', () => {
  test('what hangs is over at its deadline, whatever arrives later', async () => {
    const asked = new Promise<ServerHttp2Stream>((resolve) => (answer = resolve));
    const call = ask();
    const stream = await asked;
    const ended = once(stream, 'close');
    const failed = expect(call).rejects.toMatchObject({ kind: 'timeout', message: /within 5000 ms/ });
    await clock.advance(timeoutMs);
    await failed;
    await ended;
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test('no timer is left behind by a call that has ended', async () => {
    await ask();
    answer = resetWith(constants.NGHTTP2_INTERNAL_ERROR);
    await expect(ask()).rejects.toMatchObject({ kind: 'server-error' });
    expect(clock.pendingTimers).toBe(0);
  });
});

test('attempts to connect pause longer with each that fails', async () => {
  let attempts = 0;
  server.on('connection', (socket: Socket) => {
    attempts++;
    socket.destroy();
  });
  const failed = () => expect(ask()).rejects.toMatchObject({ kind: 'connection' });
  await failed();
  expect(attempts).toBe(1);
  await failed();
  expect(attempts).toBe(1);
  await clock.advance(250);
  await failed();
  expect(attempts).toBe(2);
  // Twice 250 ms, less half of it at most.
  await clock.advance(249);
  await failed();
  expect(attempts).toBe(2);
  for (let i = 0; i < 10; i++) {
    await clock.advance(10_000);
    await failed();
  }
  expect(attempts).toBe(12);
});

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { createHttpsGetter, type HttpResponse, type HttpsGetter } from '../../src/log-cache/https-get.js';
import type { LogCacheError } from '../../src/log-cache/log-cache.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import { listenOnLoopback } from '../support/listen.js';

/*
 * What a network may send in place of a proper response, byte by byte, over a real TLS connection.
 */

const crlf = (...lines: string[]) => lines.join('\r\n');
const ok = (headers: string, body: string) => crlf('HTTP/1.1 200 OK', headers, '', body);

let server: Server;
let getter: HttpsGetter;
const sockets = new Set<TLSSocket>();
/** One for each request; the bytes of the response, in the pieces to send, and whether the server hangs up then. */
let respond: (socket: TLSSocket) => void;
let connections = 0;

beforeAll(async () => {
  const authority = await createCertificateAuthority();
  const { key, chain } = await authority.issue({ commonName: 'log-cache', ipAddresses: ['127.0.0.1'] });
  server = createServer({ key, cert: chain }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', () => respond(socket));
  });
  const port = await listenOnLoopback(server);
  open = (maxBodyBytes = 1_000_000) => {
    connections = 0;
    getter = createHttpsGetter({
      origin: new URL(`https://127.0.0.1:${port}`),
      ca: [authority.cert],
      skipSslValidation: false,
      maxBodyBytes,
      clock: new ManualClock(),
    });
  };
});
let open: (maxBodyBytes?: number) => void;
afterEach(() => {
  for (const socket of sockets) socket.destroy();
});
afterAll(() => new Promise<unknown>((resolve) => server.close(resolve)));

const get = () => getter.get('/x', {}, 5_000, (response) => response);
const failure = () =>
  get().then(
    (response) => Promise.reject(new Error(`it was read: ${JSON.stringify(response)}`)),
    (error: LogCacheError) => error,
  );

/** Reads a response that arrives as a whole. */
function read(text: string, maxBodyBytes?: number): Promise<HttpResponse> {
  open(maxBodyBytes);
  respond = (socket) => socket.write(text, 'latin1');
  return get();
}

const hello = { status: 200, dateSecs: null, body: 'hello', bytes: 5 };

test.each([
  ['a length', ok('Content-Length: 5', 'hello')],
  ['chunks', ok('Transfer-Encoding: chunked', crlf('2', 'he', '3', 'llo', '0', '', ''))],
  [
    'chunks with extensions and trailers',
    ok('transfer-encoding: Chunked', crlf('05;a=b', 'hello', '0;x', 'Grpc: 1', 'A: b', '', '')),
  ],
  [
    'an interim response before it',
    crlf('HTTP/1.1 103 Early Hints', 'a: b', '', ok('content-length: 5', 'hello')),
  ],
])('a response with %s is read, and its connection serves again', async (_what, text) => {
  expect(await read(text)).toEqual(hello);
  expect(await get()).toEqual(hello);
  expect(connections).toBe(1);
});

test('a response that arrives byte by byte is read, also where a character of UTF-8 is cut', async () => {
  open();
  const body = '{"ä":"€😀"}';
  const bytes = Buffer.from(ok(`content-length: ${Buffer.byteLength(body)}`, body));
  respond = (socket) => {
    const next = (at: number) =>
      void (at < bytes.length && socket.write(bytes.subarray(at, at + 1), () => next(at + 1)));
    next(0);
  };
  expect(await get()).toEqual({ status: 200, dateSecs: null, body, bytes: Buffer.byteLength(body) });
});

test.each([
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['a length of 0', 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'],
])('a response without a body (%s) ends with its headers', async (_what, text) => {
  expect(await read(text)).toMatchObject({ body: '', bytes: 0 });
});

test('a body without length ends with the connection', async () => {
  open();
  respond = (socket) => socket.end(ok('connection: close', 'hello'));
  expect(await get()).toEqual(hello);
  expect(await get()).toEqual(hello);
  expect(connections).toBe(2);
});

test.each([
  ['in a chunk', ok('transfer-encoding: chunked', crlf('5', 'hel'))],
  ['before the last chunk', ok('transfer-encoding: chunked', crlf('5', 'hello', ''))],
  ['in a body', ok('content-length: 5', 'hell')],
  ['in the headers', 'HTTP/1.1 200 OK\r\ncontent-len'],
])('an end %s is not taken for the end of the response', async (_where, text) => {
  open();
  respond = (socket) => socket.end(text);
  expect((await failure()).kind).toMatch(/^(connection|bad-answer)$/);
});

test.each([
  ['the server says so', ok('connection: close\r\ncontent-length: 5', 'hello')],
  ['it speaks HTTP/1.0', crlf('HTTP/1.0 200 OK', 'content-length: 5', '', 'hello')],
])('a connection is not used again if %s', async (_why, text) => {
  expect(await read(text)).toEqual(hello);
  expect(await get()).toEqual(hello);
  expect(connections).toBe(2);
});

test('bytes that nobody asked for never become the response to a later request', async () => {
  const [first, ...later] = await Promise.allSettled([
    read(ok('content-length: 5', `hello${ok('content-length: 5', 'wrong')}`)),
  ]).then(async (results) => [...results, ...(await Promise.allSettled([get()]))]);
  for (const result of [first, ...later]) {
    if (result?.status === 'fulfilled') expect(result.value).toEqual(hello);
  }
});

describe('what is not HTTP is rejected', () => {
  test.each([
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['another version', 'HTTP/2 200 OK\r\n\r\n'],
    ['a header without a name', ok(': b\r\ncontent-length: 5', 'hello')],
    ['a NUL in a header', ok('a: \0\r\ncontent-length: 5', 'hello')],
    ['a blank behind the name of a header', ok('content-length : 5', 'hello')],
    ['a negative length', ok('content-length: -5', 'hello')],
    ['two lengths', ok('content-length: 5\r\ncontent-length: 6', 'hello')],
    ['a list of lengths', ok('content-length: 5, 5', 'hello')],
    ['both length and chunks', ok('content-length: 5\r\ntransfer-encoding: chunked', '0\r\n\r\n')],
    ['a chunk size that is none', ok('transfer-encoding: chunked', '5x\r\nhello\r\n0\r\n\r\n')],
    ['a chunk that is longer than its size', ok('transfer-encoding: chunked', '4\r\nhello\r\n0\r\n\r\n')],
    ['endless headers', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(70_000)}`],
  ])('%s', async (_what, text) => {
    expect(await read(text).catch((error: unknown) => error)).toMatchObject({ kind: 'bad-answer' });
  });
});

test('a body beyond the limit is rejected, one that reports an error is cut off', async () => {
  const error = await read(ok('content-length: 11', 'x'.repeat(11)), 10).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ kind: 'bad-answer', message: expect.stringContaining('exceeds 10 bytes') });
  const text = crlf('HTTP/1.1 500 Oops', 'content-length: 99999', '', 'x'.repeat(17_000));
  expect(await read(text)).toMatchObject({ status: 500 });
  await get();
  expect(connections).toBe(2);
});

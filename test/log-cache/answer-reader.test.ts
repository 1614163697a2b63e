import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { request } from 'node:http';
import { Duplex } from 'node:stream';
import { AnswerReader } from '../../src/log-cache/answer-reader.js';
import { BodyBuffer } from '../../src/log-cache/body-buffer.js';

const crlf = (...lines: string[]) => lines.join('\r\n');
const ok = (headers: string, body: string) => crlf('HTTP/1.1 200 OK', headers, '', body);

/** Feeds a reader piece by piece until it is content. */
function read(text: string, cuts: readonly number[] = [], maxBodyBytes = 1_000_000) {
  const bytes = Buffer.from(text);
  const reader = new AnswerReader(new BodyBuffer(), maxBodyBytes);
  const borders = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])];
  borders.sort((a, b) => a - b);
  let complete = false;
  for (const [i, from] of borders.entries()) {
    if (!complete) complete = reader.take(bytes.subarray(from, borders[i + 1] ?? bytes.length));
  }
  return { reader, complete, ...reader.answer() };
}

const hello = { complete: true, status: 200, body: 'hello', bytes: 5 };

test.each([
  ['a length', ok('Content-Length: 5', 'hello')],
  ['the same length twice', ok('content-length: 5\r\nContent-Length: 5', 'hello')],
  ['chunks', ok('Transfer-Encoding: chunked', crlf('2', 'he', '3', 'llo', '0', '', ''))],
  [
    'chunks with extensions and trailers',
    ok('transfer-encoding: Chunked', crlf('05;a=b', 'hello', '0;x', 'Grpc: 1', 'A: b', '', '')),
  ],
  [
    'an interim answer before it',
    crlf('HTTP/1.1 103 Early Hints', 'a: b', '', ok('content-length: 5', 'hello')),
  ],
  ['no reason phrase', crlf('HTTP/1.1 200', 'content-length: 5', '', 'hello')],
])('an answer with %s is read, whatever pieces it comes in', (_what, text) => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 200 }), (cuts) => {
      const { reader, ...result } = read(text, cuts);
      expect(result).toEqual(hello);
      expect(reader.keepAlive).toBe(true);
    }),
    { numRuns: 200 },
  );
  const { reader, ...result } = read(text, [...Array(text.length).keys()]);
  expect(result).toEqual(hello);
  expect(reader.begun).toBe(true);
});

test('a text in UTF-8 survives borders in the middle of a character', () => {
  const body = '{"ä":"€😀"}';
  const bytes = Buffer.byteLength(body);
  const text = ok(`content-length: ${bytes}`, body);
  expect(read(text, [...Array(Buffer.byteLength(text)).keys()])).toMatchObject({
    complete: true,
    body,
    bytes,
  });
});

test('bodies of any chunks are put together again', () => {
  const parts = fc.array(fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }), { maxLength: 8 });
  fc.assert(
    fc.property(parts, fc.array(fc.nat()), (bodies, cuts) => {
      const chunks = bodies.map((part) => crlf(Buffer.byteLength(part).toString(16), part, ''));
      const text = ok('transfer-encoding: chunked', `${chunks.join('')}0\r\n\r\n`);
      expect(read(text, cuts)).toMatchObject({ complete: true, body: bodies.join('') });
    }),
  );
});

test.each([
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['304', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n'],
  ['a length of 0', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
])('an answer without a body (%s) ends with its head', (_what, text) => {
  expect(read(text)).toMatchObject({ complete: true, body: '', bytes: 0 });
  expect(read(text).reader.keepAlive).toBe(true);
});

test('a body without length ends with the connection, which serves nothing more', () => {
  const { reader, complete } = read(ok('a: b', 'hello'));
  expect(complete).toBe(false);
  expect(reader.end()).toBe(true);
  expect(reader.answer()).toEqual({ status: 200, body: 'hello', bytes: 5 });
  expect(reader.keepAlive).toBe(false);
});

test('an end before the end is not taken for one', () => {
  const text = ok('transfer-encoding: chunked', crlf('5', 'hello', '0', '', ''));
  for (let length = 0; length < text.length; length++) {
    const { reader, complete } = read(text.slice(0, length));
    expect([complete, reader.end(), reader.keepAlive]).toEqual([false, false, false]);
  }
});

test.each([
  ['the server says so', ok('connection: close\r\ncontent-length: 5', 'hello')],
  ['it speaks HTTP/1.0', crlf('HTTP/1.0 200 OK', 'content-length: 5', '', 'hello')],
  ['there is more than was asked for', ok('content-length: 5', 'helloHTTP/1.1 200 OK')],
])('a connection is not used again if %s', (_why, text) => {
  const { reader, ...result } = read(text);
  expect(result).toEqual(hello);
  expect(reader.keepAlive).toBe(false);
});

describe('what is no HTTP is refused', () => {
  test.each([
    ['another protocol', 'SSH-2.0-x\r\n\r\n'],
    ['another version', 'HTTP/2 200 OK\r\n\r\n'],
    ['a status that is none', 'HTTP/1.1 999 OK\r\n\r\n'],
    ['a header without a name', ok(': b\r\ncontent-length: 5', 'hello')],
    ['a line that ends with a lone CR', `HTTP/1.1 200 OK\r\r\r\na: b\r\n\r\nhello`],
    ['a tab behind a transfer encoding', ok('transfer-encoding: chunked\t', '0\r\n\r\n')],
    ['a NUL in a header', ok('a: \0\r\ncontent-length: 5', 'hello')],
    ['a blank behind the name of a header', ok('content-length : 5', 'hello')],
    ['a header that goes on in the next line', ok('a: b\r\n content-length: 5', 'hello')],
    ['a negative length', ok('content-length: -5', 'hello')],
    ['two lengths', ok('content-length: 5\r\ncontent-length: 6', 'hello')],
    ['a list of lengths', ok('content-length: 5, 5', 'hello')],
    ['both length and chunks', ok('content-length: 5\r\ntransfer-encoding: chunked', '0\r\n\r\n')],
    ['another encoding', ok('transfer-encoding: gzip, chunked', '0\r\n\r\n')],
    ['a chunk size that is none', ok('transfer-encoding: chunked', '5x\r\nhello\r\n0\r\n\r\n')],
    ['a huge chunk size', ok('transfer-encoding: chunked', '123456789\r\n')],
    ['a chunk that is longer than its size', ok('transfer-encoding: chunked', '4\r\nhello\r\n0\r\n\r\n')],
    ['lines without CR', ok('transfer-encoding: chunked', '5\nhello\r\n0\r\n\r\n')],
    ['an endless line', ok('transfer-encoding: chunked', '0'.repeat(5_000))],
    ['an endless head', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(70_000)}`],
  ])('%s', (_what, text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ kind: 'bad-answer' }));
    expect(() => read(text, [...Array(200).keys()])).toThrow(expect.objectContaining({ kind: 'bad-answer' }));
  });
});

/** What Node.js' own client makes of the same bytes; null where it refuses them. */
function readByNode(bytes: Buffer): Promise<{ status: number; body: string } | null> {
  return new Promise((resolve) => {
    const connection = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    // Of Duplex, but node:http calls what sockets have.
    const socket = Object.assign(connection, { setTimeout: () => connection, setNoDelay: () => connection });
    const sent = request({ createConnection: () => socket, host: 'log-cache' });
    sent.on('error', () => resolve(null));
    sent.on('upgrade', () => resolve(null));
    sent.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', () => resolve(null));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }),
      );
    });
    sent.end();
    setImmediate(() => {
      connection.push(bytes);
      connection.push(null);
    });
  });
}

test('a damaged answer is never read as another than the one that Node.js reads', async () => {
  const sound = fc.constantFrom(
    ok('Content-Length: 5', 'hello'),
    ok('a: b\r\nTransfer-Encoding: chunked\r\nc: d', crlf('2', 'he', '3;x=y', 'llo', '0', 'e: f', '', '')),
    crlf('HTTP/1.1 103 Early Hints', 'a: b', '', ok('content-length: 5', 'hello')),
    ok('connection: close', 'hello'),
    'HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n',
  );
  const damage = fc.record({
    at: fc.nat(),
    length: fc.nat(4),
    put: fc.constantFrom(
      '',
      '\r\n',
      '\n',
      '\r',
      ' ',
      '\t',
      ':',
      '0',
      '5',
      ',',
      ';',
      'a',
      'chunked',
      '\0',
      'ÿ',
      '1.0',
    ),
  });
  let alike = 0;
  await fc.assert(
    fc.asyncProperty(sound, fc.array(damage, { minLength: 1, maxLength: 3 }), async (text, damages) => {
      const damaged = damages.reduce((before, { at, length, put }) => {
        const from = at % before.length;
        return before.slice(0, from) + put + before.slice(from + length);
      }, text);
      const bytes = Buffer.from(damaged, 'latin1');
      let ours: { status: number; body: string } | null = null;
      try {
        const reader = new AnswerReader(new BodyBuffer(), 1_000_000);
        const { status, body } =
          reader.take(bytes) || reader.end() ? reader.answer() : { status: 0, body: '' };
        if (status > 0) ours = { status, body };
      } catch {
        return;
      }
      const theirs = await readByNode(bytes);
      if (ours === null || theirs === null) return;
      expect(ours).toEqual(theirs);
      alike++;
    }),
    { numRuns: 3_000 },
  );
  expect(alike).toBeGreaterThan(100);
});

test('a body beyond the limit is refused, one that reports an error is cut off', () => {
  expect(() => read(ok('content-length: 11', 'x'.repeat(11)), [], 10)).toThrow(/exceeds 10 bytes/);
  const error = crlf('HTTP/1.1 500 Oops', 'content-length: 99999', '', 'x'.repeat(17_000));
  expect(read(error)).toMatchObject({ complete: true, status: 500 });
  expect(read(error).reader.keepAlive).toBe(false);
});

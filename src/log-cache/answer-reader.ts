import type { BodyBuffer } from './body-buffer.js';
import { LogCacheError } from './log-cache.js';

/** An answer to a GET request. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** Of the body. */
  readonly bytes: number;
}

/** Status line and headers. Go and gorouter send some hundred bytes. */
const maxHeadBytes = 64 * 1024;
/** Of an answer that reports an error only the beginning is of interest. */
const maxErrorBytes = 16 * 1024;
/** A chunk's length in hexadecimal digits, with whatever extensions it has, or a trailer. */
const maxLineLength = 4096;

const headEnd = Buffer.from('\r\n\r\n');
const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/;
/** In lower case. Blanks, also those that would continue the line before, are how two readers come to differ. */
const headerName = /^[!#$%&'*+\-.^_`|~\da-z]+$/;
/** A line break that is not one of HTTP's, or a byte that no line has: some readers end a line there, some do not. */
const strayBreak = /\r(?!\n)|(?<!\r)\n|\0/;
const chunkSize = /^([\da-fA-F]{1,8})[ \t]*(?:;.*)?$/;

/**
 * Where the bytes that come belong. `length` and `chunk` are followed by `remaining` bytes of the body, `chunk-end` by
 * a chunk's line break; the body of `until-close` has no other end than the connection's.
 */
type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close' | 'done';

/**
 * Reads one HTTP/1.1 answer to a GET request (RFC 9112), in whatever pieces a connection brings it. Knows what a client
 * of log-cache needs, and refuses what is not HTTP. Throws a LogCacheError that says what is wrong with "it".
 */
export class AnswerReader {
  #state: State = 'head';
  #head: Buffer | null = null;
  #line = '';
  #remaining = 0;
  #status = 0;
  #keepAlive = true;

  /** `body` is empty, and nobody else's until the answer was taken. */
  constructor(
    private readonly body: BodyBuffer,
    private readonly maxBodyBytes: number,
  ) {}

  /** Takes what came, which it does not keep; whether the answer is complete. */
  take(data: Buffer): boolean {
    let at = 0;
    let bytes = data;
    if (this.#state === 'head') {
      bytes = this.#head ? Buffer.concat([this.#head, data]) : data;
      at = this.#readHeads(bytes);
    }
    while (at < bytes.length && this.#state !== 'head' && this.#state !== 'done')
      at = this.#readBody(bytes, at);
    // More than was asked for: whatever it is, no later request must take it for its answer.
    if (at < bytes.length && this.#state === 'done') this.#keepAlive = false;
    return this.#state === 'done';
  }

  /** The connection has ended; whether the answer is complete. */
  end(): boolean {
    if (this.#state === 'until-close') this.#state = 'done';
    return this.#state === 'done';
  }

  /** Whether anything of the answer has come. */
  get begun(): boolean {
    return this.#state !== 'head' || this.#head !== null;
  }

  /** Whether the connection can serve another request after this answer. */
  get keepAlive(): boolean {
    return this.#keepAlive && this.#state === 'done';
  }

  answer(): HttpAnswer {
    return { status: this.#status, body: this.body.text(), bytes: this.body.length };
  }

  /** Reads the head, and those of interim answers before it; returns where the body begins. */
  #readHeads(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(headEnd, at);
      if ((end < 0 ? bytes.length : end) - at > maxHeadBytes) {
        throw badAnswer(`its head exceeds ${maxHeadBytes} bytes`);
      }
      if (end < 0) {
        this.#head = Buffer.from(bytes.subarray(at));
        return bytes.length;
      }
      this.#readHead(bytes.toString('latin1', at, end));
      at = end + headEnd.length;
      if (this.#state !== 'head') return at;
    }
  }

  #readHead(head: string): void {
    const [first = '', ...headers] = head.split('\r\n');
    const [, minor, status] = statusLine.exec(first) ?? [];
    if (status === undefined) throw badAnswer(`it begins with ${show(first)}`);
    if (strayBreak.test(head)) throw badAnswer('its head has a line break that is none');
    this.#status = Number(status);
    if (this.#status < 200) return;

    this.#keepAlive = minor === '1';
    let length: number | null = null;
    let chunked = false;
    for (const header of headers) {
      const colon = header.indexOf(':');
      const name = header.slice(0, Math.max(0, colon)).toLowerCase();
      if (!headerName.test(name)) throw badAnswer('it has a header without a name');
      switch (name) {
        case 'content-length':
          length = lengthOf(header.slice(colon + 1), length);
          break;
        case 'transfer-encoding':
          // Not every reader takes a tab for a blank.
          if (chunked || !/^ *chunked *$/i.test(header.slice(colon + 1))) {
            throw badAnswer('it has a transfer encoding other than chunked');
          }
          chunked = true;
          break;
        case 'connection':
          if (/\bclose\b/i.test(header)) this.#keepAlive = false;
          break;
        default:
      }
    }
    // A body that has two ends is how answers are smuggled.
    if (chunked && length !== null) throw badAnswer('it has both a length and chunks');
    this.#state = this.#bodyForm(length, chunked);
    if (this.#state === 'until-close') this.#keepAlive = false;
  }

  #bodyForm(length: number | null, chunked: boolean): State {
    if (this.#status === 204 || this.#status === 304) return 'done';
    if (chunked) return 'chunk-size';
    if (length === null) return 'until-close';
    this.#remaining = length;
    return length === 0 ? 'done' : 'length';
  }

  /** Reads on from `at`; returns how far it came. */
  #readBody(bytes: Buffer, at: number): number {
    if (this.#state === 'until-close') {
      this.#keep(bytes.subarray(at));
      return bytes.length;
    }
    if (this.#state !== 'length' && this.#state !== 'chunk') return this.#readLine(bytes, at);
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#remaining -= end - at;
    if (this.#remaining === 0) this.#state = this.#state === 'chunk' ? 'chunk-end' : 'done';
    this.#keep(bytes.subarray(at, end));
    return end;
  }

  /** Reads what stands in lines between the parts of the body. */
  #readLine(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(10, at);
    const end = lineEnd < 0 ? bytes.length : lineEnd;
    this.#line += bytes.toString('latin1', at, end);
    if (this.#line.length > maxLineLength) throw badAnswer('it has a line that does not end');
    if (lineEnd < 0) return end;
    if (!this.#line.endsWith('\r')) throw badAnswer('a line of it does not end with CR and LF');
    const line = this.#line.slice(0, -1);
    this.#line = '';
    this.#lineRead(line);
    return lineEnd + 1;
  }

  #lineRead(line: string): void {
    if (this.#state === 'chunk-size') {
      const digits = chunkSize.exec(line)?.[1];
      if (digits === undefined) throw badAnswer(`it has a chunk of the size ${show(line)}`);
      this.#remaining = parseInt(digits, 16);
      this.#state = this.#remaining === 0 ? 'trailer' : 'chunk';
    } else if (this.#state === 'chunk-end') {
      if (line !== '') throw badAnswer('it has a chunk that is longer than its size');
      this.#state = 'chunk-size';
    } else if (line === '') {
      // Trailers, up to here, say nothing that is of interest.
      this.#state = 'done';
    }
  }

  #keep(part: Buffer): void {
    const bytes = this.body.length + part.length;
    if (bytes > this.maxBodyBytes) throw badAnswer(`it exceeds ${this.maxBodyBytes} bytes`);
    this.body.append(part);
    if (this.#status !== 200 && bytes > maxErrorBytes) {
      this.#keepAlive = false;
      this.#state = 'done';
    }
  }
}

function lengthOf(text: string, known: number | null): number {
  const length = Number(text);
  if (!/^ *\d{1,15} *$/.test(text) || (known !== null && known !== length)) {
    throw badAnswer(`its length is ${show(text)}`);
  }
  return length;
}

function badAnswer(what: string): LogCacheError {
  return new LogCacheError('bad-answer', what);
}

function show(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}

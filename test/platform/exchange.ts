import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Clock } from '../../src/util/clock.js';
import { waitForFault, type ActiveFault, type Fault } from './faults.js';
import { suffer } from './suffer.js';

export interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const maxBodyBytes = 1_048_576;

/** One request and its answer, with the faults that spoil either. */
export class Exchange {
  readonly url: URL;
  readonly method: string;
  /** As it was sent; `url` has no `.` and `..` any more. */
  readonly path: string;
  /** Wall-clock ms. */
  readonly receivedMs: number;
  readonly #gone = new AbortController();
  #spoil: ActiveFault | undefined;
  /** Bytes of the answer's body, once there is one. */
  bytes = 0;
  /** Status of the answer; 0 while there is none, and for a connection that was broken instead. */
  status = 0;

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly clock: Clock,
  ) {
    this.url = new URL(request.url ?? '/', 'https://localhost');
    this.method = request.method ?? 'GET';
    this.path = (request.url ?? '/').replace(/\?[^]*$/, '');
    this.receivedMs = clock.now();
    response.once('close', () => this.#gone.abort());
  }

  /** Aborted when nobody waits for the answer any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The request's body as text; breaks the connection beyond 1 MiB. */
  async body(): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBodyBytes) throw new Error(`request body is longer than ${maxBodyBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** Lets faults happen that come before the answer. True if nothing remains to be answered. */
  suffer(faults: readonly ActiveFault[]): Promise<boolean> {
    return suffer(faults, {
      clock: this.clock,
      gone: this.gone,
      breakConnection: () => this.request.socket.destroy(),
      answerStatus: (status, body, headers) => this.answer({ status, body, headers }),
      spoil: (fault) => (this.#spoil = fault),
    });
  }

  answer({ status, body = '', headers = {} }: Answer): void {
    const spoiled = this.#spoil?.fault.kind;
    const text = spoiled === 'garbage' ? '<html>maintenance</html>' : body;
    const content = spoiled === 'compressed' ? gzipSync(text) : Buffer.from(text);
    const encoding = spoiled === 'compressed' ? { 'content-encoding': 'gzip' } : {};
    this.status = status;
    this.bytes = content.length;
    const date = new Date(this.clock.now()).toUTCString();
    this.response.writeHead(status, { date, ...headers, ...encoding, 'content-length': content.length });
    if (spoiled !== 'cut' && spoiled !== 'stall') {
      this.response.end(content);
      return;
    }
    const half = Math.floor(content.length / 2);
    this.response.write(content.subarray(0, half), () => {
      if (spoiled === 'cut') this.request.socket.destroy();
    });
    const lifted = this.#spoil?.lifted;
    if (spoiled === 'stall' && lifted) {
      void waitForFault(this.clock, null, [lifted, this.#gone.signal]).then(() => {
        if (!this.#gone.signal.aborted) this.response.end(content.subarray(half));
      });
    }
  }
}

export function hasFault(faults: readonly ActiveFault[], kind: Fault['kind']): boolean {
  return faults.some(({ fault }) => fault.kind === kind);
}

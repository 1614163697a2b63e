import type { IncomingHttpHeaders } from 'node:http';
import { createSecureContext } from 'node:tls';
import { Client, type Dispatcher, errors } from 'undici';
import type { Clock } from '../util/clock.js';
import { trusting } from '../util/trusting.js';
import { lookup } from '../dns/lookup.js';
import { connectionReason, LogCacheError } from './log-cache.js';

/** A response to a GET request. */
export interface HttpResponse {
  readonly status: number;
  /** By the server's clock, cut to whole seconds since the epoch; null where it does not say. */
  readonly dateSecs: number | null;
  readonly body: string;
  /** Of the body. */
  readonly bytes: number;
}

/** GET requests to one server on kept-alive connections, one for each request in flight. */
export interface HttpsGetter {
  /**
   * The deadline covers connect, headers and body. `take` is called as soon as the response is complete, and the promise
   * resolves to what it returns. Rejects with a LogCacheError, or with what `take` throws.
   */
  get<T>(
    path: string,
    headers: HttpHeaders,
    timeoutMs: number,
    take: (response: HttpResponse) => T,
  ): Promise<T>;
}

export type HttpHeaders = Readonly<Record<string, string>>;

export interface HttpsGetterOptions {
  readonly origin: URL;
  /** PEM; the complete list of trusted roots. */
  readonly ca: readonly string[];
  readonly skipSslValidation: boolean;
  readonly maxBodyBytes: number;
  readonly idleConnectionMs?: number;
  readonly clock: Clock;
}

/** Less than the 90 s after which gorouter closes idle connections. */
const defaultIdleConnectionMs = 50_000;
/** Status line and headers. Go and gorouter send some hundred bytes. */
const maxHeaderBytes = 64 * 1024;
/** Of a response with an error only the beginning is read. */
const maxErrorBytes = 16 * 1024;

/** How one attempt ended. */
interface Outcome {
  responded(response: HttpResponse): void;
  /** `begun`: part of a response had arrived. */
  failed(error: LogCacheError, begun: boolean): void;
}

export function createHttpsGetter(options: HttpsGetterOptions): HttpsGetter {
  const { clock, maxBodyBytes } = options;
  const connections = new Connections(options);

  return {
    get: (path, headers, timeoutMs, take) =>
      new Promise((resolve, reject) => {
        let connection: Connection;
        let timedOut = false;
        const deadline = clock.setTimer(timeoutMs, () => {
          timedOut = true;
          connections.remove(connection);
          reject(
            new LogCacheError('timeout', `log-cache did not answer ${shown(path)} within ${timeoutMs} ms`),
          );
        });
        const send = (via: Connection): void => {
          connection = via;
          const request = { path, method: 'GET', headers } as const;
          via.client.dispatch(
            request,
            new ResponseReader(maxBodyBytes, {
              responded(response) {
                deadline.cancel();
                connections.release(via);
                // Rejects with what take throws.
                resolve(new Promise((taken) => taken(take(response))));
              },
              failed(error, begun) {
                // Our own end of the connection, which is no reason for another try.
                if (timedOut) return;
                connections.remove(via);
                // The server closed it while it was idle: once more, on a connection that was not.
                if (via.used && !begun && error.kind === 'connection') {
                  return send(connections.open());
                }
                deadline.cancel();
                reject(inContext(path, error));
              },
            }),
          );
        };
        send(connections.acquire());
      }),
  };
}

interface Connection {
  /** Holds a single connection, because a client is dropped when it disconnects. */
  readonly client: Client;
  /** Whether a request was answered on it before. */
  used: boolean;
}

/** Connections to one server: those with a request in flight, and those that wait for one. */
class Connections {
  readonly #origin: string;
  readonly #clientOptions: Client.Options;
  readonly #all = new Set<Connection>();
  /** The one used last serves next, so that the others reach their idle time. */
  readonly #idle: Connection[] = [];

  constructor(options: HttpsGetterOptions) {
    const idleConnectionMs = options.idleConnectionMs ?? defaultIdleConnectionMs;
    this.#origin = options.origin.origin;
    this.#clientOptions = {
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      // One deadline covers everything, on the injected clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        // One context for all connections: parsing hundreds of roots costs milliseconds.
        secureContext: createSecureContext(trusting(options.ca)),
        rejectUnauthorized: !options.skipSslValidation,
        lookup,
      },
    };
  }

  /** An idle connection, or a new one. */
  acquire(): Connection {
    return this.#idle.pop() ?? this.open();
  }

  open(): Connection {
    const client = new Client(this.#origin, this.#clientOptions);
    const connection = { client, used: false };
    this.#all.add(connection);
    client.once('disconnect', () => this.remove(connection));
    client.once('connectionError', () => this.remove(connection));
    return connection;
  }

  /** The response on this connection is complete. */
  release(connection: Connection): void {
    connection.used = true;
    if (this.#all.has(connection)) this.#idle.push(connection);
  }

  remove(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    void connection.client.destroy();
  }
}

/** Gathers one response within the bounds of its size. */
class ResponseReader implements Dispatcher.DispatchHandler {
  #status = 0;
  #dateSecs: number | null = null;
  #bytes = 0;
  #done = false;
  readonly #parts: Buffer[] = [];

  constructor(
    private readonly maxBodyBytes: number,
    private readonly outcome: Outcome,
  ) {}

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    { date }: IncomingHttpHeaders,
  ): void {
    this.#status = status;
    const dateMs = Date.parse(String(date));
    this.#dateSecs = Number.isNaN(dateMs) ? null : Math.floor(dateMs / 1000);
  }

  onResponseData(controller: Dispatcher.DispatchController, part: Buffer): void {
    this.#bytes += part.length;
    this.#parts.push(part);
    if (this.#bytes > this.maxBodyBytes) {
      controller.abort(new LogCacheError('bad-answer', `it exceeds ${this.maxBodyBytes} bytes`));
    } else if (this.#status !== 200 && this.#bytes > maxErrorBytes) {
      this.onResponseEnd();
      controller.abort(new Error('the rest is of no interest'));
    }
  }

  onResponseEnd(): void {
    if (this.#done) return;
    this.#done = true;
    const body = Buffer.concat(this.#parts).toString();
    this.outcome.responded({ status: this.#status, dateSecs: this.#dateSecs, body, bytes: this.#bytes });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.outcome.failed(logCacheError(error), this.#status !== 0);
  }
}

/** Errors of a response that is not HTTP, or larger than what is read. All others are those of a connection. */
const unreadable = [
  errors.HTTPParserError,
  errors.HeadersOverflowError,
  errors.ResponseContentLengthMismatchError,
];

function logCacheError(error: NodeJS.ErrnoException): LogCacheError {
  if (error instanceof LogCacheError) return error;
  const { code } = error;
  const kind = unreadable.some((type) => error instanceof type) ? 'bad-answer' : 'connection';
  const said = connectionReason(error);
  const reason = code === undefined || said.includes(code) ? said : `${code} ${said}`;
  return new LogCacheError(kind, reason, { cause: error });
}

function inContext(path: string, { kind, message, cause }: LogCacheError): LogCacheError {
  const what =
    kind === 'connection' ? 'no answer from log-cache to' : "log-cache's answer cannot be read, to";
  return new LogCacheError(kind, `${what} ${shown(path)}: ${message}`, { cause });
}

/** The query string is left out of messages: it changes with every request. */
function shown(path: string): string {
  return path.split('?', 1).join();
}

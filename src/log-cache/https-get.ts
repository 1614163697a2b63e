import type { IncomingHttpHeaders } from 'node:http';
import { createSecureContext } from 'node:tls';
import { Client, type Dispatcher, errors } from 'undici';
import type { Clock } from '../util/clock.js';
import { lookup } from '../dns/lookup.js';
import { LogCacheError } from './log-cache.js';

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
  close(): void;
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
  const { origin, clock, maxBodyBytes } = options;
  const idleConnectionMs = options.idleConnectionMs ?? defaultIdleConnectionMs;
  // One context for all connections: parsing hundreds of roots costs milliseconds.
  const secureContext = createSecureContext({ ca: [...options.ca] });
  const connections = new Set<Connection>();
  /** The one used last serves next, so that the others reach their idle time. */
  const idle: Connection[] = [];
  let closed = false;

  function open(): Connection {
    const client = new Client(origin.origin, {
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      // One deadline covers everything, on the injected clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { secureContext, rejectUnauthorized: !options.skipSslValidation, lookup },
    });
    const connection = { client, used: false };
    connections.add(connection);
    client.once('disconnect', () => remove(connection));
    client.once('connectionError', () => remove(connection));
    return connection;
  }

  function remove(connection: Connection): void {
    connections.delete(connection);
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
    void connection.client.destroy();
  }

  return {
    get: (path, headers, timeoutMs, take) =>
      new Promise((resolve, reject) => {
        let connection: Connection;
        let timedOut = false;
        const deadline = clock.setTimer(timeoutMs, () => {
          timedOut = true;
          remove(connection);
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
                via.used = true;
                if (connections.has(via)) idle.push(via);
                // Rejects with what take throws.
                resolve(new Promise((taken) => taken(take(response))));
              },
              failed(error, begun) {
                // Our own end of the connection, which is no reason for another try.
                if (timedOut) return;
                remove(via);
                // The server closed it while it was idle: once more, on a connection that was not.
                if (via.used && !begun && !closed && error.kind === 'connection') return send(open());
                deadline.cancel();
                reject(inContext(path, error));
              },
            }),
          );
        };
        send(idle.pop() ?? open());
      }),

    close() {
      closed = true;
      for (const connection of connections) remove(connection);
    },
  };
}

interface Connection {
  /** Holds a single connection, because a client is dropped when it disconnects. */
  readonly client: Client;
  /** Whether a request was answered on it before. */
  used: boolean;
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
  const { code, message } = error;
  const kind = unreadable.some((type) => error instanceof type) ? 'bad-answer' : 'connection';
  const reason = code === undefined || message.includes(code) ? message : `${code} ${message}`;
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

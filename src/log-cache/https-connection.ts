import { isIP, type TcpSocketConnectOpts } from 'node:net';
import { connect, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { lookup } from '../dns/lookup.js';
import { AnswerReader, type HttpAnswer } from './answer-reader.js';
import { BodyBuffer } from './body-buffer.js';
import { LogCacheError } from './log-cache.js';

export interface HttpsTarget {
  readonly hostname: string;
  readonly port: number;
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
  readonly maxBodyBytes: number;
  /** What comes is read into it and taken at once: connections can share it. */
  readonly readBuffer: Uint8Array;
}

/** One request's end: an answer, or why there is none. */
export interface Exchange {
  answered(answer: HttpAnswer): void;
  /** `begun`: something of an answer had come. */
  failed(error: LogCacheError, begun: boolean): void;
}

/** Sessions shorten the handshake of later connections. */
export interface SessionCache {
  session: Buffer | undefined;
}

/**
 * One connection that serves one request after the other. Plain sockets instead of node:https, because streams, headers
 * and events that nobody needs here cost twice as much as the rest of a request.
 */
export class HttpsConnection {
  /** Monotonic ms; for whoever keeps idle connections. */
  idleSinceMs = 0;
  readonly #socket: TLSSocket;
  readonly #body = new BodyBuffer();
  readonly #maxBodyBytes: number;
  readonly #gone: () => void;
  #current: { readonly exchange: Exchange; readonly reader: AnswerReader } | null = null;
  #secure = false;
  #served = 0;
  #ended = false;

  /** `gone` is called when the connection has ended, for whatever reason. */
  constructor(target: HttpsTarget, sessions: SessionCache, gone: () => void) {
    this.#maxBodyBytes = target.maxBodyBytes;
    this.#gone = gone;
    const options: ConnectionOptions & Pick<TcpSocketConnectOpts, 'onread'> = {
      host: target.hostname,
      port: target.port,
      lookup,
      secureContext: target.secureContext,
      rejectUnauthorized: target.rejectUnauthorized,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(target.hostname) ? {} : { servername: target.hostname }),
      ...(sessions.session ? { session: sessions.session } : {}),
      onread: {
        buffer: target.readBuffer,
        callback: (length, bytes) => {
          this.#take(Buffer.from(bytes.buffer, bytes.byteOffset, length));
          return true;
        },
      },
    };
    this.#socket = connect(options);
    this.#socket.setNoDelay(true);
    this.#socket.on('session', (session) => (sessions.session = session));
    this.#socket.on('end', () => this.#end(null));
    this.#socket.on('error', (error: Error) => this.#end(error));
    this.#socket.on('close', () => this.#end(null));
  }

  /** Whether a request was answered here before. */
  get used(): boolean {
    return this.#served > 0;
  }

  /** Whether it can serve another request now. */
  get free(): boolean {
    return this.#current === null && !this.#ended && !this.#socket.destroyed;
  }

  /** Only on a connection that is free. */
  send(request: string, exchange: Exchange): void {
    this.#body.clear();
    this.#current = { exchange, reader: new AnswerReader(this.#body, this.#maxBodyBytes) };
    if (this.#secure) {
      this.#socket.write(request, 'latin1');
      return;
    }
    // Not before the server has shown who it is: the request holds a token.
    this.#socket.once('secureConnect', () => {
      this.#secure = true;
      this.#socket.write(request, 'latin1');
    });
  }

  /** Ends it at once, and with it the exchange under way. */
  fail(error: Error): void {
    this.#end(error);
  }

  /** Ends it at once. An exchange under way is not told. */
  destroy(): void {
    this.#current = null;
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    const current = this.#current;
    // What nobody has asked for must not be there when somebody asks.
    if (!current) return this.destroy();
    const { reader, exchange } = current;
    try {
      if (!reader.take(data)) return;
    } catch (error) {
      this.destroy();
      exchange.failed(error as LogCacheError, true);
      return;
    }
    this.#current = null;
    this.#served++;
    if (!reader.keepAlive) this.destroy();
    exchange.answered(reader.answer());
  }

  #end(error: NodeJS.ErrnoException | null): void {
    if (this.#ended) return;
    this.#ended = true;
    const current = this.#current;
    this.destroy();
    this.#gone();
    if (!current) return;
    const { reader, exchange } = current;
    if (error === null && reader.end()) exchange.answered(reader.answer());
    else exchange.failed(connectionError(error), reader.begun);
  }
}

function connectionError(cause: NodeJS.ErrnoException | null): LogCacheError {
  const { code, message } = cause ?? { message: 'the connection was closed' };
  const reason = code === undefined || message.includes(code) ? message : `${code} ${message}`;
  return new LogCacheError('connection', reason, { cause });
}

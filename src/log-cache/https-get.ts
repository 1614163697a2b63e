import { createSecureContext } from 'node:tls';
import type { Clock } from '../clock.js';
import type { HttpAnswer } from './answer-reader.js';
import { HttpsConnection, type HttpsTarget, type SessionCache } from './https-connection.js';
import { LogCacheError } from './log-cache.js';

/** GET requests to one server on kept-alive connections, one for each request that is under way. */
export interface HttpsGetter {
  /**
   * `headers`: lines that each end with CR and LF. The deadline covers connect, headers and body. Resolves to what
   * `take` makes of the answer. Rejects with a LogCacheError, or with what `take` throws.
   */
  get<T>(path: string, headers: string, timeoutMs: number, take: (answer: HttpAnswer) => T): Promise<T>;
  close(): void;
}

export interface HttpsGetterOptions {
  readonly origin: URL;
  /** PEM; the complete list of trusted roots. */
  readonly ca: readonly string[];
  readonly skipSslValidation: boolean;
  readonly maxBodyBytes: number;
  readonly clock: Clock;
}

/** Gorouter closes idle connections after 90 s by default; ours should be the first to go. */
const idleConnectionMs = 50_000;

/** The most that a TLS record holds is 16 kB; several come at once. */
const readBufferBytes = 64 * 1024;

export function createHttpsGetter(options: HttpsGetterOptions): HttpsGetter {
  const { origin, clock } = options;
  const target: HttpsTarget = {
    // URL keeps the brackets of an IPv6 address, the socket does not want them.
    hostname: origin.hostname.replace(/^\[|\]$/g, ''),
    port: Number(origin.port || 443),
    // One context for all connections: parsing hundreds of roots costs milliseconds.
    secureContext: createSecureContext({ ca: [...options.ca] }),
    rejectUnauthorized: !options.skipSslValidation,
    maxBodyBytes: options.maxBodyBytes,
    readBuffer: Buffer.allocUnsafeSlow(readBufferBytes),
  };
  const host = `host: ${origin.host}\r\n`;
  const sessions: SessionCache = { session: undefined };
  const connections = new Set<HttpsConnection>();
  let closed = false;
  /** Longest idle first; the one used last serves next, so that the others may grow old. */
  const idle: HttpsConnection[] = [];

  function connect(): HttpsConnection {
    const connection = new HttpsConnection(target, sessions, () => {
      connections.delete(connection);
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
    });
    connections.add(connection);
    return connection;
  }

  function keep(connection: HttpsConnection): void {
    if (!connection.free) return;
    connection.idleSinceMs = clock.monotonic();
    idle.push(connection);
    closeOld();
  }

  function closeOld(): void {
    const since = clock.monotonic() - idleConnectionMs;
    for (let oldest = idle[0]; oldest && oldest.idleSinceMs < since; oldest = idle[0]) {
      idle.shift();
      oldest.destroy();
    }
  }

  return {
    get: (path, headers, timeoutMs, take) =>
      new Promise((resolve, reject) => {
        const request = `GET ${path} HTTP/1.1\r\n${host}${headers}\r\n`;
        let connection: HttpsConnection;
        const fail = (error: LogCacheError) => {
          deadline.cancel();
          reject(error);
        };
        const deadline = clock.setTimer(timeoutMs, () => {
          connection.destroy();
          reject(
            new LogCacheError('timeout', `log-cache did not answer ${shown(path)} within ${timeoutMs} ms`),
          );
        });
        const send = (via: HttpsConnection): void => {
          connection = via;
          const wasUsed = via.used;
          via.send(request, {
            answered(answer) {
              deadline.cancel();
              keep(via);
              // Rejects with what take throws.
              resolve(new Promise((taken) => taken(take(answer))));
            },
            failed(error, begun) {
              // It was closed on the other side while it was idle: once more, on one that was not.
              if (wasUsed && !begun && !closed && error.kind === 'connection') send(connect());
              else fail(inContext(path, error));
            },
          });
        };
        closeOld();
        send(idle.pop() ?? connect());
      }),

    close() {
      closed = true;
      for (const connection of connections) connection.fail(new Error('it was closed on our side'));
    },
  };
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

import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { Agent, get as httpsGet } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../clock.js';
import { LogCacheError } from './log-cache.js';

export interface HttpsAnswer {
  readonly status: number;
  readonly body: string;
  readonly bytes: number;
}

/** GET requests to one server on kept-alive connections. */
export interface HttpsGetter {
  /** The deadline covers connect, headers and body. Rejects with a LogCacheError. */
  get(path: string, headers: OutgoingHttpHeaders, timeoutMs: number): Promise<HttpsAnswer>;
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

/** Of an answer that reports an error only the beginning is of interest. */
const maxErrorBytes = 16 * 1024;
/** Connections per thread: as many as jobs that run in it at once. */
const maxSockets = 100;
/** Gorouter closes idle connections after 90 s by default; ours should be the first to go. */
const idleSocketMs = 50_000;

/** Codes that say "the connection was gone", as opposed to an answer that made no sense. */
const brokenConnection = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

export function createHttpsGetter(options: HttpsGetterOptions): HttpsGetter {
  const target = {
    protocol: options.origin.protocol,
    // URL keeps the brackets of an IPv6 address, the socket does not want them.
    hostname: options.origin.hostname.replace(/^\[|\]$/g, ''),
    port: options.origin.port || 443,
    // One context for all connections: parsing hundreds of roots costs milliseconds.
    secureContext: createSecureContext({ ca: [...options.ca] }),
    rejectUnauthorized: !options.skipSslValidation,
  };
  const agent = new Agent({
    keepAlive: true,
    maxSockets,
    maxFreeSockets: maxSockets,
    scheduling: 'lifo',
    timeout: idleSocketMs,
  });
  const inFlight = new Set<(error: LogCacheError) => void>();

  return {
    get: (path, headers, timeoutMs) =>
      new Promise((resolve, reject) => {
        let request: ClientRequest | undefined;
        const finish = () => {
          deadline.cancel();
          inFlight.delete(fail);
        };
        const fail = (error: LogCacheError) => {
          finish();
          reject(error);
          request?.destroy();
        };
        const deadline = options.clock.setTimer(timeoutMs, () =>
          fail(
            new LogCacheError('timeout', `log-cache did not answer ${shown(path)} within ${timeoutMs} ms`),
          ),
        );
        inFlight.add(fail);

        const send = (via: Agent | false): void => {
          let answered = false;
          const sent = httpsGet({ ...target, path, headers, agent: via }, (response) => {
            answered = true;
            receive(response, path, options.maxBodyBytes).then((answer) => {
              finish();
              resolve(answer);
            }, fail);
          });
          sent.on('error', (error: NodeJS.ErrnoException) => {
            const staleConnection =
              via !== false && sent.reusedSocket && !answered && brokenConnection.has(error.code ?? '');
            // Once more only while somebody still waits: past its deadline a request must not be sent again.
            if (staleConnection && inFlight.has(fail)) send(false);
            else fail(connectionError(path, error));
          });
          request = sent;
        };
        try {
          send(agent);
        } catch (error) {
          fail(connectionError(path, error));
        }
      }),

    close() {
      for (const fail of inFlight) {
        fail(new LogCacheError('connection', 'the connection to log-cache was closed on our side'));
      }
      agent.destroy();
    },
  };
}

/** Reads the body to its end, so that the connection can be used again, or destroys the connection. */
function receive(response: IncomingMessage, path: string, maxBodyBytes: number): Promise<HttpsAnswer> {
  return new Promise((resolve, reject) => {
    const status = response.statusCode ?? 0;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const answer = () => ({ status, body: Buffer.concat(chunks).toString('utf8'), bytes });

    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (status !== 200 && bytes > maxErrorBytes) {
        resolve(answer());
        response.destroy();
      } else if (bytes > maxBodyBytes) {
        const message = `log-cache's answer to ${shown(path)} exceeds ${maxBodyBytes} bytes`;
        reject(new LogCacheError('bad-answer', message));
      } else {
        chunks.push(chunk);
      }
    });
    response.on('end', () => resolve(answer()));
    response.on('error', (error) => reject(connectionError(path, error)));
  });
}

function connectionError(path: string, cause: unknown): LogCacheError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const reason = code === undefined || message.includes(code) ? message : `${code} ${message}`;
  return new LogCacheError('connection', `no answer from log-cache to ${shown(path)}: ${reason}`, { cause });
}

/** The query string is left out of messages: it changes with every request. */
function shown(path: string): string {
  return path.split('?', 1).join();
}

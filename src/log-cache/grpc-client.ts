import { type ClientHttp2Stream, constants } from 'node:http2';
import { type GrpcConnection, type GrpcConnectionOptions, GrpcConnections } from './grpc-connections.js';
import { acceptedEncodings, prefixBytes, readResponse } from './grpc-response.js';
import { LogCacheError } from './log-cache.js';

/** Unary gRPC calls to one server, all on one connection of HTTP/2 with mutual TLS. */
export interface GrpcClient {
  /**
   * The deadline covers connect, request and response. `take` is called with the message as soon as it is complete, and
   * the promise resolves to what it returns. Rejects with a LogCacheError, or with what `take` throws.
   */
  call<T>(path: string, request: Uint8Array, timeoutMs: number, take: (message: Buffer) => T): Promise<T>;
}

export interface GrpcClientOptions extends GrpcConnectionOptions {
  readonly maxMessageBytes: number;
}

export function createGrpcClient(options: GrpcClientOptions): GrpcClient {
  const { clock, maxMessageBytes } = options;
  const connections = new GrpcConnections(options);

  return {
    call: (path, request, timeoutMs, take) =>
      new Promise((resolve, reject) => {
        let connection: GrpcConnection;
        let stream: ClientHttp2Stream;
        let timedOut = false;
        const deadline = clock.setTimer(timeoutMs, () => {
          timedOut = true;
          connections.noteTimeout(connection);
          stream.close(constants.NGHTTP2_CANCEL);
          reject(new LogCacheError('timeout', `log-cache did not answer ${path} within ${timeoutMs} ms`));
        });
        const fail = (error: LogCacheError) => {
          deadline.cancel();
          reject(error);
        };
        const send = (mayRepeat: boolean): void => {
          try {
            connection = connections.next();
            stream = connection.session.request(headersOf(path, timeoutMs));
          } catch (error) {
            return fail(asLogCacheError(error));
          }
          const { hasAnswered } = connection;
          readResponse(stream, maxMessageBytes, ({ answer, isUnanswered }) => {
            // Our own end of the call.
            if (timedOut) return;
            // The server closed the connection while it was idle: once more, on another.
            if (isUnanswered && hasAnswered && mayRepeat) return send(false);
            if (!isUnanswered) connections.noteAnswer(connection);
            if (answer instanceof LogCacheError) return fail(answer);
            deadline.cancel();
            // Rejects with what take throws.
            resolve(new Promise((taken) => taken(take(answer))));
          });
          stream.end(framed(request));
        };
        send(true);
      }),
  };
}

function headersOf(path: string, timeoutMs: number): Record<string, string> {
  return {
    ':method': 'POST',
    ':path': path,
    te: 'trailers',
    'content-type': 'application/grpc',
    'grpc-accept-encoding': acceptedEncodings,
    'grpc-timeout': `${timeoutMs}m`,
    'user-agent': 'eventgenerator',
  };
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(prefixBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Node.js throws where a connection has just ended. */
function asLogCacheError(error: unknown): LogCacheError {
  if (error instanceof LogCacheError) return error;
  const { message } = error as Error;
  return new LogCacheError('connection', `log-cache cannot be asked: ${message}`, { cause: error });
}

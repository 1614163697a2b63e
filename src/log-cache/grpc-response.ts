import {
  constants,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { gunzipSync, inflateSync, type InputType, type ZlibOptions } from 'node:zlib';
import { grpcError, httpStatusError } from './grpc-error.js';
import { connectionReason, LogCacheError } from './log-cache.js';

/** Whether a message is compressed (one byte) and its length (four bytes) stand before it. */
export const prefixBytes = 5;

/** What a server may compress with. */
const decompressors = new Map<unknown, (input: InputType, options: ZlibOptions) => Buffer>([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
]);

export const acceptedEncodings = ['identity', ...decompressors.keys()].join();

/** How a call ended on one connection. */
export interface Ended {
  /** What was answered: a message, or why there is none. */
  readonly answer: Buffer | LogCacheError;
  /** The server did not begin with the call, or the connection was lost before anything of a response arrived. */
  readonly isUnanswered: boolean;
}

/** Gathers the response to a unary call within the bound of its size, and calls `ended` once. */
export function readResponse(
  stream: ClientHttp2Stream,
  maxMessageBytes: number,
  ended: (result: Ended) => void,
): void {
  // A stream that has ended does not know it any more.
  const { session } = stream;
  const parts: Buffer[] = [];
  let bytes = 0;
  let headers: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined;
  let trailers: IncomingHttpHeaders = {};
  let failure: LogCacheError | undefined;
  let streamError: NodeJS.ErrnoException | undefined;

  stream.on('response', (received) => (headers = received));
  stream.on('trailers', (received: IncomingHttpHeaders) => (trailers = received));
  stream.on('data', (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes - prefixBytes <= maxMessageBytes) return;
    failure ??= new LogCacheError('bad-answer', `log-cache's answer exceeds ${maxMessageBytes} bytes`);
    parts.length = 0;
    stream.close(constants.NGHTTP2_CANCEL);
  });
  stream.on('error', (error: NodeJS.ErrnoException) => (streamError = error));
  // The last event in any case, after a response as after a lost connection.
  stream.on('close', () => {
    const status = trailers['grpc-status'] ?? headers?.['grpc-status'];
    if (failure) return ended({ answer: failure, isUnanswered: false });
    if (status === undefined)
      return ended(withoutStatus(stream, session?.destroyed ?? true, headers?.[':status'], streamError));
    if (status !== '0') {
      const message = trailers['grpc-message'] ?? headers?.['grpc-message'] ?? '';
      return ended({ answer: grpcError(String(status), decoded(String(message))), isUnanswered: false });
    }
    const answer = messageIn(Buffer.concat(parts), headers?.['grpc-encoding'], maxMessageBytes);
    ended({ answer, isUnanswered: false });
  });
}

function withoutStatus(
  { rstCode }: ClientHttp2Stream,
  isSessionLost: boolean,
  httpStatus: number | undefined,
  error: NodeJS.ErrnoException | undefined,
): Ended {
  if (httpStatus !== undefined && httpStatus !== 200) {
    return { answer: httpStatusError(httpStatus), isUnanswered: false };
  }
  const isReset = error?.code === 'ERR_HTTP2_STREAM_ERROR';
  const isRefused = isReset && rstCode === constants.NGHTTP2_REFUSED_STREAM;
  // Node.js gives the streams of a lost connection this code as well.
  const isLost = isSessionLost || rstCode === constants.NGHTTP2_CANCEL;
  const isConnections = isRefused || (!isReset && (isLost || error !== undefined));
  // Node.js wraps what ended a session before the stream had begun.
  const reason = error ? connectionReason(error.cause ?? error) : 'the response ended without a status';
  const answer = new LogCacheError(
    isConnections ? 'connection' : kindOfReset(rstCode),
    isConnections ? `no answer from log-cache: ${reason}` : `log-cache broke off its answer: ${reason}`,
    { cause: error },
  );
  return { answer, isUnanswered: isConnections && httpStatus === undefined };
}

function kindOfReset(code: number | undefined): 'unauthorized' | 'server-error' {
  return code === constants.NGHTTP2_INADEQUATE_SECURITY ? 'unauthorized' : 'server-error';
}

/** grpc-message is percent-encoded; text that is not is shown as it came. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function messageIn(body: Buffer, encoding: unknown, maxMessageBytes: number): Buffer | LogCacheError {
  if (body.length === 0) return new LogCacheError('bad-answer', 'log-cache answered without a message');
  if (body.length < prefixBytes || body.readUInt32BE(1) !== body.length - prefixBytes) {
    return new LogCacheError('bad-answer', 'log-cache answered with something else than one message');
  }
  const message = body.subarray(prefixBytes);
  if (body[0] === 0) return message;
  const decompress = decompressors.get(encoding);
  if (!decompress) {
    return new LogCacheError('bad-answer', `log-cache compressed its answer with ${String(encoding)}`);
  }
  try {
    return decompress(message, { maxOutputLength: maxMessageBytes });
  } catch (cause) {
    const reason = (cause as Error).message;
    return new LogCacheError('bad-answer', `log-cache's answer cannot be decompressed: ${reason}`, { cause });
  }
}

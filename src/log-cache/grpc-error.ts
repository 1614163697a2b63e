import { type ServiceError, status } from '@grpc/grpc-js';
import { type FailureKind, LogCacheError } from './log-cache.js';

/** Why a gRPC call gave no answer, in the words that both transports share. */
export function grpcError(error: Pick<ServiceError, 'code' | 'details'> | null): LogCacheError {
  if (error === null) return new LogCacheError('bad-answer', 'log-cache answered without a message');
  const { code, details } = error;
  return new LogCacheError(
    kindOfCode(code, details),
    `log-cache answered ${status[code]} (${code})${details && `: ${details.slice(0, 200)}`}`,
    { cause: error },
  );
}

function kindOfCode(code: status, details: string): Exclude<FailureKind, 'no-token' | 'thread'> {
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return 'timeout';
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return 'connection';
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return 'unauthorized';
    case status.INVALID_ARGUMENT:
    case status.NOT_FOUND:
    case status.ALREADY_EXISTS:
    case status.FAILED_PRECONDITION:
    case status.OUT_OF_RANGE:
      return 'client-error';
    // Our own library reports an answer that is too large or that it cannot decode with these two.
    case status.RESOURCE_EXHAUSTED:
      return details.startsWith('Received message larger than max') ? 'bad-answer' : 'server-error';
    case status.INTERNAL:
      return details.startsWith('Response message parsing error') ? 'bad-answer' : 'server-error';
    // log-cache itself answers UNKNOWN where its gateway says 500.
    case status.UNKNOWN:
    case status.UNIMPLEMENTED:
    case status.ABORTED:
    case status.DATA_LOSS:
    case status.OK:
    default:
      return 'server-error';
  }
}

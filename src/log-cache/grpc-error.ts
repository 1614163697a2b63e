import { type ServiceError, status } from '@grpc/grpc-js';
import { LogCacheError, type RequestFailure } from './log-cache.js';

/** Why a gRPC call failed, in the words that both transports share. */
export function grpcError(error: Pick<ServiceError, 'code' | 'details'> | null): LogCacheError {
  if (error === null) return new LogCacheError('bad-answer', 'log-cache answered without a message');
  const { code, details } = error;
  return new LogCacheError(
    kindOfCode(code, details),
    `log-cache answered ${status[code]} (${code})${details && `: ${details.slice(0, 200)}`}`,
    { cause: error },
  );
}

/** Whether our own library gave up. log-cache's own deadlines have the same code, and are a response. */
export function isOwnDeadline({ code, details }: Pick<ServiceError, 'code' | 'details'>): boolean {
  return code === status.DEADLINE_EXCEEDED && details.startsWith('Deadline exceeded');
}

function kindOfCode(code: status, details: string): RequestFailure {
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return isOwnDeadline({ code, details }) ? 'timeout' : 'gave-up';
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
    // With these two our own library reports a response that is too large, or that it cannot decode.
    case status.RESOURCE_EXHAUSTED:
      return details.startsWith('Received message larger than max') ? 'bad-answer' : 'server-error';
    case status.INTERNAL:
      return details.startsWith('Response message parsing error') ? 'bad-answer' : 'server-error';
    // log-cache itself answers UNKNOWN where its gateway says 500.
    case status.UNKNOWN:
      return details.startsWith('query timed out') ? 'gave-up' : 'server-error';
    case status.UNIMPLEMENTED:
    case status.ABORTED:
    case status.DATA_LOSS:
    case status.OK:
    default:
      return 'server-error';
  }
}

import { LogCacheError, type RequestFailure } from './log-cache.js';

/** gRPC's status codes in their order, each with its name and what it means here. */
const statuses: readonly (readonly [string, RequestFailure])[] = [
  ['OK', 'server-error'],
  ['CANCELLED', 'connection'],
  ['UNKNOWN', 'server-error'],
  ['INVALID_ARGUMENT', 'client-error'],
  ['DEADLINE_EXCEEDED', 'gave-up'],
  ['NOT_FOUND', 'client-error'],
  ['ALREADY_EXISTS', 'client-error'],
  ['PERMISSION_DENIED', 'unauthorized'],
  ['RESOURCE_EXHAUSTED', 'server-error'],
  ['FAILED_PRECONDITION', 'client-error'],
  ['ABORTED', 'server-error'],
  ['OUT_OF_RANGE', 'client-error'],
  ['UNIMPLEMENTED', 'server-error'],
  ['INTERNAL', 'server-error'],
  ['UNAVAILABLE', 'connection'],
  ['DATA_LOSS', 'server-error'],
  ['UNAUTHENTICATED', 'unauthorized'],
];

/** The error of a status other than OK. `code`: the trailer grpc-status; `details`: grpc-message. */
export function grpcError(code: string, details: string): LogCacheError {
  const [name, kind] = statuses[Number(code)] ?? ['an unknown status', 'server-error'];
  // log-cache itself answers UNKNOWN where its gateway says 500.
  const gaveUp = name === 'UNKNOWN' && details.startsWith('query timed out');
  const excerpt = details && `: ${details.slice(0, 200)}`;
  return new LogCacheError(gaveUp ? 'gave-up' : kind, `log-cache answered ${name} (${code})${excerpt}`);
}

/** The error of an HTTP status where there is no gRPC status: something else than a gRPC server answered. */
export function httpStatusError(status: number): LogCacheError {
  return new LogCacheError(
    kindOfHttpStatus(status),
    `log-cache answered HTTP status ${status}, without one of gRPC`,
  );
}

/** As gRPC's mapping of HTTP statuses has it. */
function kindOfHttpStatus(status: number): RequestFailure {
  if (status === 401 || status === 403) return 'unauthorized';
  return [429, 502, 503, 504].includes(status) ? 'connection' : 'server-error';
}

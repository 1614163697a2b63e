import { withTrustRemedy } from '../util/connection-error.js';

/**
 * What the collector needs from log-cache, whatever the transport (REST behind the auth proxy, or gRPC).
 * Every method rejects with a LogCacheError, and only with that (or what `take` throws); deadlines are the
 * implementation's. Its connections end with its thread.
 *
 * `take` is called with the response as soon as it is complete, and the promise resolves to what it returns. A response
 * that went through promises would live on: promises that have waited long are old to the garbage collector, which finds
 * what they refer to only by walking the whole heap.
 */
export interface LogCache {
  /** One page of GAUGE envelopes, newest first. Pages may be longer than the limit. */
  read<T>(request: ReadRequest, take: (page: Page<GaugeEnvelope>) => T): Promise<T>;
  /** One page of TIMER envelopes named `http`, newest first. Pages may be longer than the limit. */
  readTimers<T>(request: TimersRequest, take: (page: Page<TimerEnvelope>) => T): Promise<T>;
  /** The oldest envelope of any type in a window; a few more, as pages may be longer than the limit. */
  oldest<T>(request: OldestRequest, take: (page: Page<Pick<Envelope, 'timestamp'>>) => T): Promise<T>;
  /** An instant PromQL query that yields a vector. */
  instantQuery<T>(request: QueryRequest, take: (response: QueryResponse) => T): Promise<T>;
}

export interface Window {
  /** ns since the epoch, inclusive. */
  readonly startNs: bigint;
  /** ns since the epoch, exclusive. */
  readonly endNs: bigint;
}

export interface ReadRequest extends Window {
  readonly sourceId: string;
  /** 1..1000: log-cache rejects more. */
  readonly limit: number;
  /** Exact metric names; sent as an anchored RE2 filter. */
  readonly names: readonly string[];
  /** Value of the Authorization header; null where the transport needs none. */
  readonly authorization: string | null;
}

export type TimersRequest = Omit<ReadRequest, 'names'>;

export type OldestRequest = Omit<ReadRequest, 'limit' | 'names'>;

export interface QueryRequest {
  readonly query: string;
  /** Evaluation time in whole seconds since the epoch: with fractions log-cache loses up to a second of data. */
  readonly timeSecs: number;
  readonly authorization: string | null;
}

/** The tags of gauges that are looked at. A transport may leave out all others. */
export const gaugeTags = ['origin', 'process_type', 'process_instance_id'] as const;
export type GaugeTags = Readonly<Partial<Record<(typeof gaugeTags)[number], string>>>;

interface Envelope {
  /** Decimal ns since the epoch. A string because it serves as a join key and as a cursor only. */
  readonly timestamp: string;
  readonly sourceId: string;
  readonly instanceId: string;
}

/** Name of the timers that gorouter sends of requests. */
export const httpTimer = 'http';

export interface TimerEnvelope extends Envelope {
  readonly tags: Readonly<Record<string, string>>;
  /** From start to stop. */
  readonly durationNs: number;
}

export interface GaugeEnvelope extends Envelope {
  readonly tags: GaugeTags;
  /** One entry per metric; usually exactly one. May hold NaN and infinities. */
  readonly metrics: readonly GaugeMetric[];
}

export interface GaugeMetric {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

export interface Page<E> {
  readonly envelopes: readonly E[];
  /** Of the response's body. */
  readonly bytes: number;
}

export interface VectorSample {
  readonly labels: Readonly<Record<string, string>>;
  /** May be NaN or infinite. */
  readonly value: number;
}

export interface QueryResponse {
  readonly samples: readonly VectorSample[];
  readonly bytes: number;
}

/**
 * Why a request to log-cache failed.
 * - `timeout`: no response within our deadline
 * - `gave-up`: log-cache's own deadline passed, for reading an app's envelopes or for the query
 * - `connection`: refused, reset, TLS, name resolution
 * - `unauthorized`: 401, 403 or the auth proxy's 404: perhaps a stale token, perhaps a forbidden app
 * - `client-error`: any other 4xx; `server-error`: any 5xx
 * - `bad-answer`: 200 with a body that is not what log-cache documents, or larger than we accept
 * - `clock-ahead`: the window of http timers that was asked for is not over yet by log-cache's clock
 * - `no-token`: UAA gave no token, so no request was made
 * - `not-asked`: a query that was held back, because queries fail at the moment or too many are under way
 * - `thread`: the worker thread died or did not answer
 */
export type LogCacheFailureKind =
  | 'timeout'
  | 'gave-up'
  | 'connection'
  | 'unauthorized'
  | 'client-error'
  | 'server-error'
  | 'bad-answer'
  | 'clock-ahead'
  | 'no-token'
  | 'not-asked'
  | 'thread';

/** Failures of a request itself. */
export type RequestFailure = Exclude<LogCacheFailureKind, 'no-token' | 'not-asked' | 'thread'>;

export class LogCacheError extends Error {
  override readonly name = 'LogCacheError';

  constructor(
    readonly kind: RequestFailure,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a failed connection is about; with the remedy where log-cache's certificate is not trusted. */
export function connectionReason(error: unknown): string {
  return withTrustRemedy(error, 'metricCollector.tls.ca_file');
}

import type { GrpcLogCacheOptions } from '../../log-cache/grpc-log-cache.js';
import type { LogCacheFailureKind, Window } from '../../log-cache/log-cache.js';
import type { RestLogCacheOptions } from '../../log-cache/rest-log-cache.js';

/*
 * The contract between the main thread and the worker threads: small plain objects that survive structured cloning.
 * An app's cycle has one read job for its gauges and one query job per http metric type. A query job serves several
 * apps, because each query costs log-cache's auth proxy a request to the Cloud Controller.
 */

const httpMetricTypes = ['throughput', 'responsetime'] as const;
export type HttpMetricType = (typeof httpMetricTypes)[number];

export function isHttpMetricType(metricType: string): metricType is HttpMetricType {
  return (httpMetricTypes as readonly string[]).includes(metricType);
}

/** Reads one app's gauges in a stat window and aggregates them. */
export interface ReadJob extends Window {
  readonly kind: 'read';
  readonly appId: string;
  /** Metric types that come from gauges: container metrics and custom metrics. Empty: only look for a container metric. */
  readonly gaugeTypes: readonly string[];
  /** Container metrics at or after this time prove that log-cache knows the app. ns since the epoch. */
  readonly presenceSinceNs: bigint;
  /** What earlier cycles settled of this window for these gauge types; null: read the window as a whole. */
  readonly settled: SettledWindow | null;
}

/**
 * The settled part of a stat window: samples so old that no envelope of their streams can still arrive (streams.ts).
 * They are summed up by time, so that each sum leaves the window exactly when its envelopes do. Threads share no
 * state: the settled part travels with the job, and the next one comes back with the result.
 */
export interface SettledWindow {
  /** Where the next read begins; what is older is in the rows. ns since the epoch. */
  readonly untilNs: bigint;
  /**
   * Packed integers, a row for each timestamp, oldest first: nanoseconds since the row before (in the first row: since
   * untilNs), then the count and the sum of the samples of each gauge type.
   */
  readonly rows: string;
  /** Unit of the newest settled sample of each gauge type that is a custom metric. */
  readonly units: readonly string[];
  /** Fingerprint of the streams that a read from untilNs on finds again; a read that finds others must read all. */
  readonly streams: number;
}

/** The window of an app's http metric types. */
export interface HttpWindow {
  readonly appId: string;
  /** End of the window, seconds since the epoch. An integer, as log-cache cuts fractions off. */
  readonly timeSecs: number;
  /** One of the ranges the auth proxy can pass on; also the divisor of the rate. An integer. */
  readonly windowSecs: number;
}

/** Asks for throughput or responsetime of one or more apps in one PromQL query. */
export interface QueryJob extends Omit<HttpWindow, 'appId'> {
  readonly kind: 'query';
  readonly metricType: HttpMetricType;
  /** Several only where each can share a query. */
  readonly appIds: readonly string[];
}

/** Asks for the time of the oldest envelope that log-cache holds of an app in a window. */
export interface OldestJob extends Window {
  readonly kind: 'oldest';
  readonly appId: string;
}

/** Reads one app's http timers, of which both http metric types can be computed. */
export interface TimersJob extends HttpWindow {
  readonly kind: 'timers';
}

/** Counts one app's instances by their container metrics in a window. */
export interface InstancesJob extends Window {
  readonly kind: 'instances';
  readonly appId: string;
}

export type UnauthorizedJob = ReadJob | QueryJob | OldestJob | TimersJob | InstancesJob;

export interface Authorized {
  /** Value of the Authorization header; null over gRPC, which needs a client certificate only. */
  readonly authorization: string | null;
}

export type CollectionJob = UnauthorizedJob & Authorized;

/** Why there is *no data* though the app may have some: log-cache does not hold the whole window, or no http timers arrive. */
export type NoDataReason = 'not-covered' | 'no-http-timers';

export interface Failed {
  readonly kind: 'failed';
  readonly failure: LogCacheFailureKind;
  readonly message: string;
}

/** One of three, never confused: a value, *no data*, or a failed fetch. */
export type MetricOutcome =
  | { readonly kind: 'value'; readonly value: bigint; readonly unit: string }
  | { readonly kind: 'no-data'; readonly reason?: NoDataReason }
  | Failed;

/** `empty`: log-cache has no request of the app in the window, which is not yet a zero. */
export type HttpOutcome = MetricOutcome | { readonly kind: 'empty' };

/** What a job cost, for the metrics. */
export interface CollectionCost {
  requests: number;
  pages: number;
  envelopes: number;
  bytes: number;
  /** Samples that were NaN or infinite, beyond int64, or had a quota ≤ 0. */
  droppedSamples: number;
}

/** Containers that have sent gauges. */
export interface ContainerCounts {
  /** Of web processes: instances of the app. */
  readonly web: number;
  /** Tasks, staging and other process types, which do not count for the app. */
  readonly others: number;
}

export interface ReadResult {
  readonly kind: 'read';
  /** One outcome per gauge type asked for. */
  readonly outcomes: Readonly<Record<string, MetricOutcome>>;
  /** Whether a container metric of the app was seen at or after presenceSinceNs; null if what was asked for cannot tell. */
  readonly containerMetricSeen: boolean | null;
  /** Containers of the app whose gauges were read; null where no gauge was asked for. */
  readonly containers: ContainerCounts | null;
  /** Where the read began; with all of the window, at its start. ns since the epoch. */
  readonly fromNs: bigint;
  /** Time of the oldest envelope that was read, ns since the epoch; null where there was none. */
  readonly oldestNs: bigint | null;
  /** For the next cycle; null if that has to read the whole window. */
  readonly settled: SettledWindow | null;
}

export interface QueryResult {
  readonly kind: 'query';
  /** One entry per app asked for. */
  readonly outcomes: Readonly<Record<string, HttpOutcome>>;
}

export interface OldestResult {
  readonly kind: 'oldest';
  /** ns since the epoch; null: log-cache holds nothing there. */
  readonly oldestNs: bigint | null;
}

export interface TimersResult {
  readonly kind: 'timers';
  /** null: there are so many timers that a query is cheaper. */
  readonly outcomes: Readonly<Record<HttpMetricType, HttpOutcome>> | null;
}

export interface InstancesResult {
  readonly kind: 'instances';
  readonly instances: number;
}

/** What a job came to. `failed`: every metric of it has this outcome. */
export type JobOutcome = ReadResult | QueryResult | OldestResult | TimersResult | InstancesResult | Failed;

export type CollectionResult = JobOutcome & { readonly cost: CollectionCost };

/** What a worker thread is told once, when it starts. */
export interface CollectorWorkerData {
  readonly logCache:
    | ({ readonly transport: 'rest' } & Pick<RestLogCacheOptions, 'url' | 'ca' | 'skipSslValidation'>)
    | ({ readonly transport: 'grpc' } & Pick<GrpcLogCacheOptions, 'address' | 'ca' | 'key' | 'cert'>);
  /** Deadlines in milliseconds, each covering connect, headers and body. */
  readonly readTimeoutMs: number;
  readonly queryTimeoutMs: number;
}

import type { PreparedApp } from './apps.js';
import type { LogCacheCounts, SentAnswer } from './log-cache.js';
import type { ArrivedTrigger } from './scaling-engine.js';

/*
 * What a benchmark and its platform tell each other. They are two processes, so that the platform's work can be told
 * from the eventgenerator's and neither waits for the benchmark.
 */

export interface PreparedPlatformOptions {
  /** From a request to log-cache to its answer. */
  readonly delayMs: number;
  /** Instances of apps that are not special. */
  readonly instances: number;
}

export type ToPlatform =
  { readonly kind: 'special'; readonly apps: readonly PreparedApp[] } | { readonly kind: 'counts' };

export type FromPlatform =
  | ({ readonly kind: 'ready' } & PreparedPlatformReady)
  | ({ readonly kind: 'counts' } & PreparedPlatformCounts);

export interface PreparedPlatformReady {
  readonly urls: { readonly uaa: string; readonly logCache: string; readonly scalingEngine: string };
  /** host:port of the same log-cache over gRPC. */
  readonly logCacheGrpc: string;
  /** PEM of the authority that signed the servers' certificates. */
  readonly ca: string;
  /** For the eventgenerator. */
  readonly certificate: { readonly key: string; readonly cert: string; readonly chain: string };
}

export interface PreparedPlatformCounts {
  readonly logCache: Readonly<LogCacheCounts>;
  readonly triggers: readonly ArrivedTrigger[];
  /** Answers about special apps of more than an ordinary number of instances. */
  readonly largeApps: readonly SentAnswer[];
}

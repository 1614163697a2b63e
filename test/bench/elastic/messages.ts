/*
 * What the benchmark and its platform tell each other. The platform is a process of its own, so that its books are
 * kept on time whatever the benchmark is doing.
 */

export interface ElasticPlatformOptions {
  /** Apps that may be asked for: appGuid(0) to appGuid(apps - 1). */
  readonly apps: number;
}

export type ToElasticPlatform =
  /** Opens a log-cache and a scaling engine for one more member, so that the books can tell who asked. */
  | { readonly kind: 'open' }
  /** From this wall-clock time on the app's cpu is high. */
  | { readonly kind: 'breach'; readonly app: number; readonly fromMs: number }
  /** What was noted since this was last asked. */
  | { readonly kind: 'books' };

export type FromElasticPlatform =
  | ({ readonly kind: 'ready' } & ElasticPlatformReady)
  | ({ readonly kind: 'opened' } & MemberUrls)
  | ({ readonly kind: 'books' } & NotedSince);

export interface ElasticPlatformReady {
  readonly uaaUrl: string;
  /** PEM of the authority that signed the servers' certificates. */
  readonly ca: string;
  /** For the eventgenerators. */
  readonly certificate: { readonly key: string; readonly cert: string; readonly chain: string };
}

export interface MemberUrls {
  /** Counts from 0. */
  readonly member: number;
  readonly logCache: string;
  readonly scalingEngine: string;
}

/** Columns of equal length, one row for each app that was read. */
export interface NotedReads {
  readonly apps: Uint16Array;
  readonly members: Uint8Array;
  /** Wall-clock ms at which the request arrived. */
  readonly atMs: Float64Array;
}

export interface NotedTrigger {
  readonly app: number;
  readonly member: number;
  /** Wall-clock ms at which the request arrived. */
  readonly atMs: number;
  /** Wall-clock ms; what the answer said. */
  readonly coolDownUntilMs: number;
}

export interface NotedSince {
  readonly reads: NotedReads;
  readonly triggers: readonly NotedTrigger[];
}

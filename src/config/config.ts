/*
 * The resolved configuration: validated, every default filled in, every duration a number of milliseconds
 * (or seconds where the name says so). The raw form and its rules live beside it in this folder.
 */

export type LogLevel = 'debug' | 'info' | 'error' | 'fatal';

/** `observe`: decides as in `act`, but posts nothing and leaves the tables of acting instances alone. */
export type Mode = 'act' | 'observe';

/** Where PEM text comes from. A file is read again when it changes; text came from a service binding and stays in memory. */
export type PemSource = { readonly file: string } | { readonly pem: string };

export interface TlsConfig {
  readonly key: PemSource | null;
  readonly cert: PemSource | null;
  readonly ca: PemSource | null;
}

export interface ListenerConfig {
  /** TCP port; 0 lets the system choose one. */
  readonly port: number;
  readonly tls: TlsConfig;
}

export interface XfccConfig {
  /** Empty: every request is rejected. */
  readonly validOrgGuid: string;
  /** Empty: any space of the org. */
  readonly validSpaceGuid: string;
  /** Optional and off by default: certificates in the header must be issued by one of these and be valid now. */
  readonly ca: PemSource | null;
}

export interface BasicAuthConfig {
  readonly username: { readonly plain: string } | { readonly bcrypt: string } | null;
  readonly password: { readonly plain: string } | { readonly bcrypt: string } | null;
}

export interface DatabaseConfig {
  /** `postgres://` or `postgresql://`; holds the password, never log it. */
  readonly url: string;
  /** Material from a service binding; parameters of the URL (`sslcert`, …) come first. */
  readonly tls: TlsConfig;
  readonly maxOpenConnections: number;
  readonly maxIdleConnections: number;
  /** Milliseconds; 0 is for ever. */
  readonly connectionMaxLifetimeMs: number;
  readonly connectionMaxIdleTimeMs: number;
}

export interface UaaConfig {
  readonly url: string;
  readonly clientId: string;
  /** Empty for the `cf` client. */
  readonly clientSecret: string;
  readonly grant:
    | { readonly type: 'client_credentials' }
    | { readonly type: 'password'; readonly username: string; readonly password: string };
  /** Valid for UAA and log-cache alike. */
  readonly skipSslValidation: boolean;
}

export interface StaticPool {
  readonly totalInstances: number;
  readonly instanceIndex: number;
}

export interface Config {
  readonly onCloudFoundry: boolean;
  readonly logging: { readonly level: LogLevel };
  /** mTLS API server; null on Cloud Foundry. */
  readonly apiServer: ListenerConfig | null;
  /** API behind XFCC; on Cloud Foundry also the health endpoints. */
  readonly cfServer: ListenerConfig & { readonly xfcc: XfccConfig };
  /** null on Cloud Foundry, where the CF server answers. */
  readonly healthServer: ListenerConfig | null;
  readonly health: { readonly basicAuth: BasicAuthConfig; readonly readinessEnabled: boolean };
  readonly policyDb: DatabaseConfig;
  readonly appMetricsDb: DatabaseConfig;
  readonly pool: {
    readonly mode: 'static' | 'elastic';
    /** Configured numbers of static sharding; null where there are none. */
    readonly static: StaticPool | null;
  };
  /** Display identity of this instance: CF_INSTANCE_GUID and CF_INSTANCE_INDEX, else host name and pool index. */
  readonly instance: { readonly guid: string; readonly index: number };
  readonly aggregator: {
    readonly collectionIntervalMs: number;
    readonly policyPollerIntervalMs: number;
    readonly saveIntervalMs: number;
    /** Collections in flight, at least. */
    readonly metricPollerCount: number;
    /** Points per ring, at least. */
    readonly metricCacheSizePerApp: number;
  };
  readonly evaluator: {
    readonly mode: Mode;
    /** Age at which an observer removes the app metrics that it stored. */
    readonly observedRetentionMs: number;
    /** At most one trigger per app in this time. */
    readonly evaluationIntervalMs: number;
  };
  readonly scalingEngine: { readonly url: string; readonly tls: TlsConfig };
  readonly logCache: {
    /** https URL with `uaa`, host:port for gRPC without. */
    readonly url: string;
    readonly tls: TlsConfig;
    /** null: gRPC with mutual TLS. */
    readonly uaa: UaaConfig | null;
  };
  readonly defaultStatWindowSecs: number;
  readonly defaultBreachDurationSecs: number;
  readonly circuitBreaker: {
    readonly backOffInitialIntervalMs: number;
    readonly backOffMaxIntervalMs: number;
    readonly consecutiveFailureCount: number;
  };
  /** Deadline of a call to the scaling engine. */
  readonly httpClientTimeoutMs: number;
}

/** What was read, and what the operator should know about it (unknown keys, ignored keys, weak settings). */
export interface LoadedConfig {
  readonly config: Config;
  /** Complete sentences that name key, cause and remedy; never a secret. */
  readonly warnings: readonly string[];
}

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../support/free-port.js';
import { standardAccounts, type Platform } from './platform.js';

/** `rest`: over HTTPS with a token of UAA. `grpc`: with a client certificate, and without UAA. */
export type Transport = 'rest' | 'grpc';

export interface EventgeneratorConfigOptions {
  /** Its gRPC address is needed for the transport `grpc` only. */
  readonly platform: Pick<Platform, 'urls' | 'ca' | 'issueCertificate'> &
    Partial<Pick<Platform, 'logCacheGrpc'>>;
  readonly policyDbUrl: string;
  /** Default: the same database. */
  readonly appMetricsDbUrl?: string;
  /** Of the eventgenerator; absent or 0: ports that are free now. */
  readonly ports?: { readonly api?: number; readonly health?: number; readonly cf?: number };
  readonly collectionIntervalSecs?: number;
  readonly evaluationIntervalSecs?: number;
  readonly policyPollerIntervalSecs?: number;
  /** Of static ownership; default 1. */
  readonly totalInstances?: number;
  readonly saveIntervalSecs?: number;
  readonly metricPollerCount?: number;
  readonly statWindowSecs?: number;
  /** For rules that have none. */
  readonly breachDurationSecs?: number;
  readonly httpClientTimeoutSecs?: number;
  readonly breaker?: { readonly initialSecs: number; readonly maxSecs: number; readonly failures: number };
  /** What the CF server accepts in XFCC. */
  readonly orgGuid?: string;
  readonly spaceGuid?: string;
  /** How log-cache is asked; default: over REST. */
  readonly transport?: Transport;
  /** Of no meaning over gRPC. */
  readonly grant?: 'client_credentials' | 'password';
  readonly logLevel?: string;
  /** Under elastic ownership for display only; default 0. */
  readonly instanceIndex?: number;
}

export interface WrittenConfig {
  readonly file: string;
  readonly ports: { readonly api: number; readonly health: number; readonly cf: number };
  /** For clients of the API server: the platform's authority, and a certificate it accepts. */
  readonly certificates: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Removes the file and the certificates. */
  remove(): Promise<void>;
}

/**
 * Writes a configuration that any eventgenerator understands (`-c FILE`), and its certificates into a folder beside
 * it. Only keys of the Go eventgenerator are in it.
 */
export async function writeEventgeneratorConfig(
  file: string,
  options: EventgeneratorConfigOptions,
): Promise<WrittenConfig> {
  const path = resolve(file);
  const folder = join(dirname(path), `${basename(path)}.certificates`);
  const ports = {
    api: options.ports?.api || (await freePort()),
    health: options.ports?.health || (await freePort()),
    cf: options.ports?.cf || (await freePort()),
  };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const issued = await options.platform.issueCertificate('eventgenerator');
  const certificates = {
    ca: join(folder, 'ca.crt'),
    cert: join(folder, 'eventgenerator.crt'),
    key: join(folder, 'eventgenerator.key'),
  };
  await writeFile(certificates.ca, options.platform.ca);
  await writeFile(certificates.cert, issued.chain);
  await writeFile(certificates.key, issued.key, { mode: 0o600 });
  // Holds the database's URL and the client's secret.
  const content = stringify(configuration(options, ports, certificates), { aliasDuplicateObjects: false });
  await writeFile(path, content, { mode: 0o600 });
  return {
    file: path,
    ports,
    certificates,
    remove: async () => {
      await rm(path, { force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configuration(
  options: EventgeneratorConfigOptions,
  ports: WrittenConfig['ports'],
  certificates: WrittenConfig['certificates'],
): object {
  const { urls } = options.platform;
  const tls = { key_file: certificates.key, cert_file: certificates.cert, ca_file: certificates.ca };
  const breaker = options.breaker ?? { initialSecs: 300, maxSecs: 7200, failures: 3 };
  return {
    logging: { level: options.logLevel ?? 'info' },
    http_client_timeout: `${options.httpClientTimeoutSecs ?? 10}s`,
    server: { port: ports.api, tls },
    cf_server: {
      port: ports.cf,
      xfcc: {
        valid_org_guid: options.orgGuid ?? 'platform-org',
        valid_space_guid: options.spaceGuid ?? 'platform-space',
      },
    },
    health: { server_config: { port: ports.health }, readiness_enabled: true },
    db: {
      policy_db: database(options.policyDbUrl),
      appmetrics_db: database(options.appMetricsDbUrl ?? options.policyDbUrl),
    },
    pool: { total_instances: options.totalInstances ?? 1, instance_index: options.instanceIndex ?? 0 },
    aggregator: {
      aggregator_execute_interval: `${options.collectionIntervalSecs ?? 40}s`,
      policy_poller_interval: `${options.policyPollerIntervalSecs ?? 40}s`,
      save_interval: `${options.saveIntervalSecs ?? 5}s`,
      metric_poller_count: options.metricPollerCount ?? 20,
      app_monitor_channel_size: 200,
      app_metric_channel_size: 1000,
      metric_cache_size_per_app: 300,
    },
    evaluator: {
      evaluation_manager_execute_interval: `${options.evaluationIntervalSecs ?? 40}s`,
      evaluator_count: 20,
      trigger_array_channel_size: 200,
    },
    scalingEngine: { scaling_engine_url: urls.scalingEngine, tls },
    metricCollector:
      options.transport === 'grpc'
        ? { metric_collector_url: options.platform.logCacheGrpc, tls }
        : {
            metric_collector_url: urls.logCache,
            tls: { ca_file: certificates.ca },
            uaa: { url: urls.uaa, skip_ssl_validation: true, ...credentials(options.grant) },
          },
    defaultStatWindowSecs: options.statWindowSecs ?? 120,
    defaultBreachDurationSecs: options.breachDurationSecs ?? 120,
    circuitBreaker: {
      back_off_initial_interval: `${breaker.initialSecs}s`,
      back_off_max_interval: `${breaker.maxSecs}s`,
      consecutive_failure_count: breaker.failures,
    },
  };
}

function credentials(grant: EventgeneratorConfigOptions['grant']): object {
  if (grant !== 'password') {
    return {
      grant_type: 'client_credentials',
      client_id: standardAccounts.clientId,
      client_secret: standardAccounts.clientSecret,
    };
  }
  return {
    grant_type: 'password',
    client_id: 'cf',
    client_secret: '',
    username: standardAccounts.userName,
    password: standardAccounts.userPassword,
  };
}

function database(url: string): object {
  return {
    url: withSslMode(url),
    max_open_connections: 20,
    max_idle_connections: 5,
    connection_max_lifetime: '60s',
  };
}

/** Go's PostgreSQL driver may insist on TLS where the URL says nothing; a server on loopback seldom has it. */
function withSslMode(text: string): string {
  const url = new URL(text);
  const loopback = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (loopback && !url.searchParams.has('sslmode')) url.searchParams.set('sslmode', 'disable');
  return url.href;
}

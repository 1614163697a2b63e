import type { CloudFoundry } from './cloud-foundry.js';
import type { Config, DatabaseConfig, ListenerConfig, LogLevel, Mode, TlsConfig } from './config.js';
import type { Report } from './report.js';
import { goDurationMs } from './go-duration.js';
import { resolveBasicAuth } from './health-auth.js';
import type { ConfigValues } from './keys.js';
import { resolveLogCache } from './log-cache-source.js';
import { resolvePool } from './pool.js';
import { noTls, resolveTls } from './tls-files.js';
import { withoutTrailingSlash } from './urls.js';
import { resolveXfcc } from './xfcc.js';

/** What is used where a pool has no limit: Go would open any number of connections. */
const defaultMaxConnections = 10;

/**
 * Makes the typed values, whose ranges were checked one by one, into the configuration, and checks what depends on
 * several keys. The result counts only if the report has no validation error.
 */
export function resolveConfig(
  values: ConfigValues,
  platform: CloudFoundry | null,
  hostname: string,
  report: Report,
): Config {
  const { aggregator, circuitBreaker } = values;
  const pool = resolvePool(values.pool, platform, report);
  return {
    onCloudFoundry: platform !== null,
    logging: { level: values.logging.level.toLowerCase() as LogLevel },
    apiServer: platform ? null : resolveListener(values.server, 'server', report),
    cfServer: {
      ...resolveListener(values.cf_server, 'cf_server', report),
      xfcc: resolveXfcc(values.cf_server.xfcc, platform, report),
    },
    healthServer: platform
      ? null
      : resolveListener(values.health.server_config, 'health.server_config', report),
    health: {
      basicAuth: resolveBasicAuth(values.health.basic_auth, report),
      readinessEnabled: values.health.readiness_enabled ?? platform !== null,
    },
    policyDb: resolveDatabase(values.db.policy_db, platform?.policyDb?.tls),
    appMetricsDb: resolveDatabase(values.db.appmetrics_db, platform?.appMetricsDb?.tls),
    pool,
    instance: {
      guid: platform?.instanceGuid || hostname,
      index: platform?.instanceIndex ?? Math.max(0, values.pool.instance_index ?? 0),
    },
    aggregator: {
      collectionIntervalMs: goDurationMs(aggregator.aggregator_execute_interval),
      policyPollerIntervalMs: goDurationMs(aggregator.policy_poller_interval),
      saveIntervalMs: goDurationMs(aggregator.save_interval),
      metricPollerCount: aggregator.metric_poller_count,
      metricCacheSizePerApp: aggregator.metric_cache_size_per_app,
    },
    evaluator: {
      mode: values.evaluator.mode.toLowerCase() as Mode,
      observedRetentionMs: goDurationMs(values.evaluator.observed_retention),
      evaluationIntervalMs: goDurationMs(values.evaluator.evaluation_manager_execute_interval),
    },
    scalingEngine: resolveScalingEngine(values.scalingEngine, platform, report),
    logCache: resolveLogCache(values.metricCollector, report),
    defaultStatWindowSecs: values.defaultStatWindowSecs ?? 0,
    defaultBreachDurationSecs: values.defaultBreachDurationSecs ?? 0,
    circuitBreaker: {
      // A first back-off beyond the longest one would be cut to it: Go does the same.
      backOffInitialIntervalMs: Math.min(
        goDurationMs(circuitBreaker.back_off_initial_interval),
        goDurationMs(circuitBreaker.back_off_max_interval),
      ),
      backOffMaxIntervalMs: goDurationMs(circuitBreaker.back_off_max_interval),
      consecutiveFailureCount: circuitBreaker.consecutive_failure_count,
    },
    httpClientTimeoutMs: goDurationMs(values.http_client_timeout),
  };
}

function resolveListener(values: ConfigValues['server'], key: string, report: Report): ListenerConfig {
  return { port: values.port, tls: resolveTls(values.tls, `${key}.tls`, report) };
}

/** Limits of 0 and below mean "as many as may be open" for idle connections and "for ever" for ages. */
function resolveDatabase(
  values: ConfigValues['db']['policy_db'],
  tls: TlsConfig | undefined,
): DatabaseConfig {
  const open = values.max_open_connections > 0 ? values.max_open_connections : defaultMaxConnections;
  const idle = values.max_idle_connections > 0 ? values.max_idle_connections : open;
  return {
    url: values.url,
    tls: tls ?? noTls,
    maxOpenConnections: open,
    maxIdleConnections: Math.min(idle, open),
    connectionMaxLifetimeMs: Math.max(0, goDurationMs(values.connection_max_lifetime)),
    connectionMaxIdleTimeMs: Math.max(0, goDurationMs(values.connection_max_idletime)),
  };
}

/** On Cloud Foundry the instance identity is the client certificate, whatever is configured: the engine's XFCC check knows no other. */
function resolveScalingEngine(
  values: ConfigValues['scalingEngine'],
  platform: CloudFoundry | null,
  report: Report,
): Config['scalingEngine'] {
  const configured = resolveTls(values.tls, 'scalingEngine.tls', report);
  const tls = { ...configured, ...platform?.instanceTls };
  if (platform && !tls.cert) {
    report.warn(
      'CF_INSTANCE_CERT and CF_INSTANCE_KEY are not set and scalingEngine.tls is empty: calls to the scaling engine carry no client certificate, and it will reject them.',
    );
  }
  return { url: withoutTrailingSlash(values.scaling_engine_url), tls };
}

import type { Config } from '../../src/config/config.js';

/** What a key does: the table that the tests of keys.test.ts go through. */
export interface KeyRow {
  readonly key: string;
  /** What the resolved configuration holds; absent for keys that are accepted and mean nothing alone. */
  readonly of?: (config: Config) => unknown;
  readonly byDefault?: unknown;
  readonly good: unknown;
  readonly resolved?: unknown;
  readonly wrongType: unknown;
  readonly outOfRange?: readonly unknown[];
}

type Of = (config: Config) => unknown;

function duration(key: string, of: Of, byDefault: number): KeyRow {
  const outOfRange = ['0s', '-5s', 0, '999us', '577h'];
  return { key, of, byDefault, good: '1m0.5s', resolved: 60_500, wrongType: '10k', outOfRange };
}

function age(key: string, of: Of): KeyRow {
  return { key, of, byDefault: 0, good: '60s', resolved: 60_000, wrongType: 'an hour' };
}

function count(key: string, of?: Of, byDefault?: number): KeyRow {
  const range = { good: 7, resolved: 7, wrongType: '7', outOfRange: [0, -1, 2 ** 31] };
  return of ? { key, of, byDefault, ...range } : { key, ...range };
}

function connections(key: string, of: Of): KeyRow {
  return { key, of, byDefault: 10, good: 4, resolved: 4, wrongType: 'NOT-INTEGER' };
}

function port(key: string, of: Of, byDefault: number): KeyRow {
  return { key, of, byDefault, good: 0, resolved: 0, wrongType: '6105', outOfRange: [-1, 65536] };
}

function flag(key: string): KeyRow {
  return { key, good: true, wrongType: 'sometimes' };
}

function text(key: string, of?: Of, byDefault: unknown = ''): KeyRow {
  const range = { good: 'other', resolved: 'other', wrongType: [] };
  return of ? { key, of, byDefault, ...range } : { key, ...range };
}

function tls(section: string, of: (config: Config) => Config['scalingEngine']['tls'] | undefined): KeyRow[] {
  return (['key', 'cert', 'ca'] as const).map((part) => ({
    key: `${section}.tls.${part}_file`,
    of: (config) => of(config)?.[part],
    good: '/other.pem',
    resolved: { file: '/other.pem' },
    wrongType: ['/a.pem'],
  }));
}

function database(name: string, of: (config: Config) => Config['policyDb']): KeyRow[] {
  return [
    {
      key: `db.${name}.url`,
      of: (c) => of(c).url,
      good: 'postgres://u:p@h/d',
      resolved: 'postgres://u:p@h/d',
      wrongType: { host: 'h' },
      outOfRange: ['', 'mysql://u:p@h/d', 'u:p@tcp(h:3306)/d', 'postgres://u:p#@h/d', 'postgres:///d'],
    },
    connections(`db.${name}.max_open_connections`, (c) => of(c).maxOpenConnections),
    connections(`db.${name}.max_idle_connections`, (c) => of(c).maxIdleConnections),
    age(`db.${name}.connection_max_lifetime`, (c) => of(c).connectionMaxLifetimeMs),
    age(`db.${name}.connection_max_idletime`, (c) => of(c).connectionMaxIdleTimeMs),
  ];
}

export const keyTable: readonly KeyRow[] = [
  {
    key: 'logging.level',
    of: (c) => c.logging.level,
    byDefault: 'info',
    good: 'ERROR',
    resolved: 'error',
    wrongType: {},
    outOfRange: ['loud', ''],
  },
  flag('logging.json_sink'),
  port('server.port', (c) => c.apiServer?.port, 8080),
  ...tls('server', (c) => c.apiServer?.tls),
  text('server.xfcc.valid_org_guid'),
  text('server.xfcc.valid_space_guid'),
  port('cf_server.port', (c) => c.cfServer.port, 8082),
  ...tls('cf_server', (c) => c.cfServer.tls),
  text('cf_server.xfcc.valid_org_guid', (c) => c.cfServer.xfcc.validOrgGuid),
  text('cf_server.xfcc.valid_space_guid', (c) => c.cfServer.xfcc.validSpaceGuid),
  {
    ...text('cf_server.xfcc.ca_file', (c) => c.cfServer.xfcc.ca, null),
    resolved: { file: 'other' },
  },
  port('health.server_config.port', (c) => c.healthServer?.port, 8081),
  ...tls('health.server_config', (c) => c.healthServer?.tls),
  text('health.server_config.xfcc.valid_org_guid'),
  text('health.server_config.xfcc.valid_space_guid'),
  ...['username', 'username_hash', 'password', 'password_hash'].map((name) => ({
    ...text(`health.basic_auth.${name}`),
    good: '',
  })),
  {
    key: 'health.readiness_enabled',
    of: (c) => c.health.readinessEnabled,
    byDefault: false,
    good: true,
    resolved: true,
    wrongType: 'maybe',
  },
  ...database('policy_db', (c) => c.policyDb),
  ...database('appmetrics_db', (c) => c.appMetricsDb),
  {
    key: 'pool.mode',
    of: (c) => c.pool.mode,
    byDefault: 'static',
    good: 'Elastic',
    resolved: 'elastic',
    wrongType: [],
    outOfRange: ['rubber'],
  },
  {
    key: 'pool.total_instances',
    of: (c) => c.pool.static?.totalInstances,
    good: 3,
    resolved: 3,
    wrongType: '3',
  },
  {
    key: 'pool.instance_index',
    of: (c) => c.pool.static?.instanceIndex,
    byDefault: 0,
    good: 0,
    resolved: 0,
    wrongType: '0',
    outOfRange: [-1, 1],
  },
  duration('aggregator.aggregator_execute_interval', (c) => c.aggregator.collectionIntervalMs, 40_000),
  duration('aggregator.policy_poller_interval', (c) => c.aggregator.policyPollerIntervalMs, 40_000),
  duration('aggregator.save_interval', (c) => c.aggregator.saveIntervalMs, 5000),
  count('aggregator.metric_poller_count', (c) => c.aggregator.metricPollerCount, 20),
  count('aggregator.app_monitor_channel_size'),
  count('aggregator.app_metric_channel_size'),
  count('aggregator.metric_cache_size_per_app', (c) => c.aggregator.metricCacheSizePerApp, 100),
  {
    key: 'evaluator.mode',
    of: (c) => c.evaluator.mode,
    byDefault: 'act',
    good: 'Observe',
    resolved: 'observe',
    wrongType: [],
    outOfRange: ['', 'observer'],
  },
  duration('evaluator.observed_retention', (c) => c.evaluator.observedRetentionMs, 172_800_000),
  duration('evaluator.evaluation_manager_execute_interval', (c) => c.evaluator.evaluationIntervalMs, 40_000),
  count('evaluator.evaluator_count'),
  count('evaluator.trigger_array_channel_size'),
  {
    key: 'scalingEngine.scaling_engine_url',
    of: (c) => c.scalingEngine.url,
    good: 'http://engine:8082/',
    resolved: 'http://engine:8082',
    wrongType: [],
    outOfRange: ['', 'engine:6104', 'ftp://engine', 'https://', 'https://engine?x=1', 'https://u:p@engine'],
  },
  ...tls('scalingEngine', (c) => c.scalingEngine.tls),
  {
    key: 'metricCollector.metric_collector_url',
    of: (c) => c.logCache.url,
    good: '[::1]:8080',
    resolved: '[::1]:8080',
    wrongType: [],
    outOfRange: ['', 'log-cache', 'https://log-cache:8080', 'log-cache:0', 'log-cache:65536', 'u:p@lc:1'],
  },
  ...tls('metricCollector', (c) => c.logCache.tls),
  { ...text('metricCollector.uaa.url', (c) => c.logCache.uaa, null), good: '', resolved: null },
  text('metricCollector.uaa.client_id'),
  text('metricCollector.uaa.client_secret'),
  { ...text('metricCollector.uaa.grant_type'), good: 'password', outOfRange: ['implicit'] },
  text('metricCollector.uaa.username'),
  text('metricCollector.uaa.password'),
  flag('metricCollector.uaa.skip_ssl_validation'),
  ...(['defaultStatWindowSecs', 'defaultBreachDurationSecs'] as const).map((key) => ({
    key,
    of: (c: Config) => c[key],
    good: 3600,
    resolved: 3600,
    wrongType: '120',
    outOfRange: [59, 3601],
  })),
  duration(
    'circuitBreaker.back_off_initial_interval',
    (c) => c.circuitBreaker.backOffInitialIntervalMs,
    300_000,
  ),
  duration('circuitBreaker.back_off_max_interval', (c) => c.circuitBreaker.backOffMaxIntervalMs, 7_200_000),
  count('circuitBreaker.consecutive_failure_count', (c) => c.circuitBreaker.consecutiveFailureCount, 3),
  duration('http_client_timeout', (c) => c.httpClientTimeoutMs, 5000),
];

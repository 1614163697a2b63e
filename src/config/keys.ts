import { databaseUrlError, httpUrlError, requiredHttpUrlError } from './urls.js';
import {
  age,
  choice,
  count,
  flag,
  integer,
  interval,
  port,
  secondsBetween,
  secret,
  text,
  type Values,
} from './setting.js';

/*
 * Every key, with the names and defaults of the Go eventgenerator. docs/configuration.md explains them; a test holds
 * the two together. `null` as a default: whether the key was configured makes a difference.
 */

const tls = () => ({ key_file: text(), cert_file: text(), ca_file: text() });

/** In Go every server has them; only the one behind gorouter checks them. */
const xfcc = () => ({ valid_org_guid: text(), valid_space_guid: text() });

const database = (tag: string) => ({
  url: secret((value) => databaseUrlError(value, tag)),
  max_open_connections: integer(0),
  max_idle_connections: integer(0),
  connection_max_lifetime: age(),
  connection_max_idletime: age(),
});

export const keys = {
  logging: {
    level: choice('info', ['debug', 'info', 'error', 'fatal']),
    json_sink: flag(false),
  },
  server: { port: port(8080), tls: tls(), xfcc: xfcc() },
  cf_server: {
    port: port(8082),
    tls: tls(),
    xfcc: { ...xfcc(), ca_file: text() },
  },
  health: {
    server_config: { port: port(8081), tls: tls(), xfcc: xfcc() },
    basic_auth: { username: text(), username_hash: secret(), password: secret(), password_hash: secret() },
    readiness_enabled: flag<boolean | null>(null),
  },
  db: { policy_db: database('policy_db'), appmetrics_db: database('appmetrics_db') },
  pool: {
    mode: choice(null, ['elastic', 'static'], 'EVENTGENERATOR_POOL_MODE'),
    total_instances: integer(0),
    instance_index: integer(null),
  },
  aggregator: {
    aggregator_execute_interval: interval('40s'),
    policy_poller_interval: interval('40s'),
    save_interval: interval('5s'),
    metric_poller_count: count(20),
    app_monitor_channel_size: count(200),
    app_metric_channel_size: count(200),
    metric_cache_size_per_app: count(100),
  },
  evaluator: {
    mode: choice('act', ['act', 'observe'], 'EVENTGENERATOR_MODE'),
    observed_retention: interval('48h'),
    evaluation_manager_execute_interval: interval('40s'),
    evaluator_count: count(20),
    trigger_array_channel_size: count(200),
  },
  scalingEngine: {
    scaling_engine_url: text(requiredHttpUrlError),
    tls: tls(),
  },
  metricCollector: {
    metric_collector_url: text(),
    tls: tls(),
    uaa: {
      url: text(httpUrlError),
      client_id: text(),
      client_secret: secret(),
      grant_type: choice('', ['', 'client_credentials', 'password']),
      username: text(),
      password: secret(),
      skip_ssl_validation: flag(false),
    },
  },
  defaultStatWindowSecs: secondsBetween(60, 3600),
  defaultBreachDurationSecs: secondsBetween(60, 3600),
  circuitBreaker: {
    back_off_initial_interval: interval('5m'),
    back_off_max_interval: interval('2h'),
    consecutive_failure_count: count(3),
  },
  http_client_timeout: interval('5s'),
};

export type ConfigValues = Values<typeof keys>;

/** Sections that may hold further names, whose values mean nothing to us: the autoscaler's components share their `db`. */
export const openSections: Readonly<Record<string, ReturnType<typeof database>>> = { db: database('') };

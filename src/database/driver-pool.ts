import pg from 'pg';
import type { DatabaseConfig } from '../config/config.js';
import type { ConnectionSettings } from './connection.js';
import { DatabaseSocket } from './socket.js';
import type { Target } from './targets.js';

export type PoolLimits = Pick<
  DatabaseConfig,
  'maxOpenConnections' | 'maxIdleConnections' | 'connectionMaxLifetimeMs' | 'connectionMaxIdleTimeMs'
>;

const defaultMaxOpenConnections = 10;
/** For TCP, TLS and login together, and for a free connection. Half of a statement's usual deadline: an attempt that
 * a silent network swallowed is given up soon enough for a second one. */
const defaultConnectTimeoutMs = 5_000;
/** The same where there are several hosts: the second must be reached before leases and patience run out. */
const defaultHostTimeoutMs = 2_500;
/** setTimeout fires at once beyond this. */
const maxTimerMs = 2 ** 31 - 1;
const keepAliveDelayMs = 10_000;

/** node-postgres's pool. It makes connections when it can: each goes where the aim is by then. */
export function createDriverPool(
  settings: ConnectionSettings,
  limits: PoolLimits,
  aim: () => Target,
): pg.Pool {
  class AimedClient extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      const { host: server, ssl } = aim();
      super({ ...config, password: settings.password, host: server.host, port: server.port, ssl });
    }
  }
  return new pg.Pool({
    stream: () => new DatabaseSocket(aim().address),
    Client: AimedClient as unknown as new () => pg.ClientBase,
    user: settings.user,
    database: settings.database,
    sslnegotiation: settings.directTls ? 'direct' : 'postgres',
    enableChannelBinding: settings.channelBinding,
    fallback_application_name: settings.applicationName,
    options: settings.options,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    connectionTimeoutMillis: connectTimeoutMs(settings),
    max: limits.maxOpenConnections > 0 ? limits.maxOpenConnections : defaultMaxOpenConnections,
    idleTimeoutMillis: Math.min(limits.connectionMaxIdleTimeMs, maxTimerMs),
    maxLifetimeSeconds: Math.min(limits.connectionMaxLifetimeMs, maxTimerMs) / 1000,
  });
}

/** For one attempt at one host. */
export function connectTimeoutMs({ connectTimeoutMs: configuredMs, hosts }: ConnectionSettings): number {
  return configuredMs ?? (hosts.length > 1 ? defaultHostTimeoutMs : defaultConnectTimeoutMs);
}

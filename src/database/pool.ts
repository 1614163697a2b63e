import pg from 'pg';
import type { DatabaseConfig } from '../config/config.js';
import { isNamePending } from '../dns/lookup.js';
import { parseDatabaseUrl, type ConnectionSettings } from './connection.js';
import { Deadline } from './deadline.js';
import { DatabaseConnectionError, DatabaseTimeoutError } from './errors.js';
import { DatabaseSocket } from './socket.js';
import { TlsMaterial, type TlsMaterialDeps } from './tls-material.js';
import { suggestsOtherAttempt, type TlsAttempt } from './tls.js';

export type PoolLimits = Pick<
  DatabaseConfig,
  'maxOpenConnections' | 'maxIdleConnections' | 'connectionMaxLifetimeMs' | 'connectionMaxIdleTimeMs'
>;

export type PoolDeps = TlsMaterialDeps;

/** Names and meanings are those of Go's database/sql, whose metrics dashboards already show. */
export interface PoolStats {
  readonly maxOpenConnections: number;
  readonly openConnections: number;
  readonly inUse: number;
  readonly idle: number;
  /** Times that a caller had to wait because all connections were in use, and for how long in total. */
  readonly waitCount: number;
  readonly waitDurationMs: number;
  readonly maxIdleClosed: number;
  readonly maxLifetimeClosed: number;
}

const defaultMaxOpenConnections = 10;
/** For TCP, TLS and login together, and for a free connection. Half of a statement's usual deadline: an attempt that
 * a silent network swallowed is given up soon enough for a second one. */
const defaultConnectTimeoutMs = 5_000;
/** setTimeout fires at once beyond this. */
const maxTimerMs = 2 ** 31 - 1;
const keepAliveDelayMs = 10_000;

/**
 * Connections to one database: node-postgres's pool, plus what it lacks: deadlines of the caller's choice, libpq's
 * sslmode, certificates that change on disk, a limit on idle connections, statistics, and a way to distrust every
 * connection after one fell silent.
 */
export class ConnectionPool {
  readonly #name: string;
  readonly #deps: PoolDeps;
  readonly #settings: ConnectionSettings;
  readonly #limits: PoolLimits;
  readonly #tls: TlsMaterial;
  readonly #pool: pg.Pool;
  readonly #address: string;
  readonly #inUse = new Set<pg.PoolClient>();
  readonly #born = new WeakMap<pg.PoolClient, { generation: number; atMs: number }>();
  #generation = 0;
  #plainTextReported = false;
  #waitCount = 0;
  #waitDurationMs = 0;
  #maxIdleClosed = 0;
  #maxLifetimeClosed = 0;
  #closed: Promise<void> | undefined;

  /** Rejects with a DatabaseConfigError where URL or certificates cannot be used. Connects to nothing yet. */
  static async open(name: string, config: DatabaseConfig, deps: PoolDeps): Promise<ConnectionPool> {
    const settings = parseDatabaseUrl(`db.${name}.url`, config);
    return new ConnectionPool(name, settings, config, await TlsMaterial.open(name, settings, deps), deps);
  }

  private constructor(
    name: string,
    settings: ConnectionSettings,
    limits: PoolLimits,
    tls: TlsMaterial,
    deps: PoolDeps,
  ) {
    this.#name = name;
    this.#deps = deps;
    this.#settings = settings;
    this.#limits = limits;
    this.#tls = tls;
    this.#address = `${settings.host ?? 'localhost'}:${settings.port ?? 5432}`;
    this.#pool = new pg.Pool({
      stream: () => new DatabaseSocket(),
      host: settings.host,
      port: settings.port,
      user: settings.user,
      password: settings.password,
      database: settings.database,
      ssl: this.#tls.attempts[0],
      sslnegotiation: settings.directTls ? 'direct' : 'postgres',
      enableChannelBinding: settings.channelBinding,
      fallback_application_name: settings.applicationName,
      options: settings.options,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveDelayMs,
      connectionTimeoutMillis: settings.connectTimeoutMs ?? defaultConnectTimeoutMs,
      max: limits.maxOpenConnections > 0 ? limits.maxOpenConnections : defaultMaxOpenConnections,
      idleTimeoutMillis: Math.min(limits.connectionMaxIdleTimeMs, maxTimerMs),
      maxLifetimeSeconds: Math.min(limits.connectionMaxLifetimeMs, maxTimerMs) / 1000,
    });
    this.#pool.on('connect', (client) => this.#connected(client));
    this.#pool.on('remove', (client) => this.#removed(client));
    // An idle connection broke; the pool has dropped it and the next caller gets another one.
    this.#pool.on('error', (error) =>
      deps.logger.debug('idle-connection-lost', { database: name, reason: error.message }),
    );
    for (const warning of settings.warnings) deps.logger.info('configuration-warning', { warning });
  }

  /** A connection for the caller alone, to be given back by `release` or `destroy`. */
  async acquire(deadline: Deadline): Promise<pg.PoolClient> {
    for (;;) {
      const client = await this.#connect(deadline);
      this.#inUse.add(client);
      if (this.#born.get(client)?.generation === this.#generation) return client;
      this.destroy(client);
    }
  }

  /** Gives back a connection that is ready for the next statement. */
  release(client: pg.PoolClient): void {
    this.#inUse.delete(client);
    const { maxIdleConnections } = this.#limits;
    const surplus =
      maxIdleConnections > 0 && this.#pool.idleCount >= maxIdleConnections && this.#pool.waitingCount === 0;
    if (surplus) this.#maxIdleClosed++;
    client.release(surplus);
  }

  /** Takes a connection out of the pool and closes its socket without waiting for the other side. */
  destroy(client: pg.PoolClient): void {
    this.#inUse.delete(client);
    client.release(true);
    client.connection.stream.destroy();
  }

  /**
   * Has every present connection replaced before its next use. When one fell silent, the others went through the same
   * network and would cost the next callers a deadline each.
   */
  distrustAll(): void {
    this.#generation++;
  }

  stats(): PoolStats {
    const { totalCount, idleCount } = this.#pool;
    return {
      maxOpenConnections: this.#pool.options.max,
      openConnections: totalCount,
      inUse: totalCount - idleCount,
      idle: idleCount,
      waitCount: this.#waitCount,
      waitDurationMs: this.#waitDurationMs,
      maxIdleClosed: this.#maxIdleClosed,
      maxLifetimeClosed: this.#maxLifetimeClosed,
    };
  }

  /** Lets running statements end, for at most timeoutMs, then breaks them off. Idempotent; never rejects. */
  close(timeoutMs: number): Promise<void> {
    return (this.#closed ??= new Deadline(this.#deps.clock, this.#name, timeoutMs)
      .race(this.#pool.end())
      .catch(() => {
        for (const client of this.#inUse) client.connection.stream.destroy();
      }));
  }

  /** With libpq's second attempt where sslmode allows one. */
  async #connect(deadline: Deadline): Promise<pg.PoolClient> {
    if (this.#pool.idleCount === 0) await this.#tls.refresh();
    // Decided anew whenever no connection is open, so that a server that has learnt TLS is soon used with it.
    const isOutdated = !this.#tls.attempts.includes(this.#pool.options.ssl as TlsAttempt);
    if (this.#pool.totalCount === 0 || isOutdated) this.#pool.options.ssl = this.#tls.attempts[0];
    const attempt = this.#pool.options.ssl as TlsAttempt;
    try {
      return await this.#checkOut(deadline);
    } catch (error) {
      const other = this.#tls.attempts.find((candidate) => candidate !== attempt);
      if (error instanceof DatabaseTimeoutError) throw error;
      if (other === undefined || !suggestsOtherAttempt(error, attempt))
        throw this.#connectionError(deadline, error);
      this.#pool.options.ssl = other;
    }
    try {
      return await this.#checkOut(deadline);
    } catch (error) {
      throw error instanceof DatabaseTimeoutError ? error : this.#connectionError(deadline, error);
    }
  }

  async #checkOut(deadline: Deadline): Promise<pg.PoolClient> {
    const { clock } = this.#deps;
    const mustWait = this.#pool.idleCount === 0 && this.#pool.totalCount >= this.#pool.options.max;
    const startedAt = clock.monotonic();
    const pending = this.#pool.connect();
    try {
      return await deadline.race(pending);
    } catch (error) {
      if (!(error instanceof DatabaseTimeoutError)) throw error;
      // Comes too late for this caller, but not for the next one.
      pending.then(
        (client) => client.release(),
        () => {},
      );
      const { host } = this.#settings;
      throw host !== undefined && isNamePending(host)
        ? new DatabaseTimeoutError(`${error.message}: the name ${host} is not resolved yet`)
        : error;
    } finally {
      if (mustWait) {
        this.#waitCount++;
        this.#waitDurationMs += clock.monotonic() - startedAt;
      }
    }
  }

  #connected(client: pg.PoolClient): void {
    this.#born.set(client, { generation: this.#generation, atMs: this.#deps.clock.monotonic() });
    // Whoever runs a statement is told by its rejection; without a listener the process would end.
    client.on('error', () => {});
    const isPlainText = this.#pool.options.ssl === false && this.#tls.attempts[0] !== false;
    if (isPlainText && !this.#plainTextReported) {
      this.#plainTextReported = true;
      this.#deps.logger.info('connection-not-encrypted', {
        database: this.#name,
        reason: `the server offers no TLS and sslmode=${this.#settings.sslMode} allows plain text; set sslmode=disable to agree or verify-full to refuse`,
      });
    }
  }

  #removed(client: pg.PoolClient): void {
    const { connectionMaxLifetimeMs } = this.#limits;
    const born = this.#born.get(client);
    if (born === undefined || connectionMaxLifetimeMs === 0) return;
    if (this.#deps.clock.monotonic() - born.atMs >= connectionMaxLifetimeMs) this.#maxLifetimeClosed++;
  }

  #connectionError(deadline: Deadline, cause: unknown): DatabaseConnectionError {
    return new DatabaseConnectionError(deadline.database, this.#address, cause);
  }
}

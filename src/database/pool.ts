import type pg from 'pg';
import type { DatabaseConfig } from '../config/config.js';
import { parseDatabaseUrl, type ConnectionSettings } from './connection.js';
import { isNamePending } from '../dns/lookup.js';
import { Deadline } from './deadline.js';
import { connectTimeoutMs, createDriverPool, type PoolLimits } from './driver-pool.js';
import { connectionErrorText, DatabaseConnectionError, DatabaseTimeoutError } from './errors.js';
import { openTlsMaterial, type TlsMaterial, type TlsMaterialOptions } from './tls-material.js';
import {
  checkServer,
  endsSearch,
  otherAddresses,
  Targets,
  textOf,
  UnfitServerError,
  type Server,
  type Target,
} from './targets.js';
import { suggestsOtherAttempt } from './tls.js';

export type PoolOptions = TlsMaterialOptions;

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

class NobodyWaits extends Error {}

/** On whose behalf a connection is looked for. */
interface Caller {
  /** For messages; a shared pool serves two databases. */
  readonly database: string;
  /** All connections were in use. */
  mustWait: boolean;
  /** Waits no more. */
  isGone: boolean;
}

/** Of the search for a host. */
interface Failure {
  readonly address: string;
  readonly error: unknown;
}

/**
 * Connections to one database: node-postgres's pool, plus what it lacks: deadlines of the caller's choice, libpq's
 * sslmode, certificates that change on disk, a limit on idle connections, statistics, and a way to retire every
 * connection after one fell silent.
 */
export class ConnectionPool {
  readonly #pool: pg.Pool;
  readonly #targets: Targets;
  /** Where connections made now go to. */
  #aim: Target;
  readonly #checked = new WeakSet<pg.PoolClient>();
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
  static async open(name: string, config: DatabaseConfig, options: PoolOptions): Promise<ConnectionPool> {
    const settings = parseDatabaseUrl(`db.${name}.url`, config);
    return new ConnectionPool(
      name,
      settings,
      config,
      await openTlsMaterial(name, settings, options),
      options,
    );
  }

  private constructor(
    private readonly name: string,
    private readonly settings: ConnectionSettings,
    private readonly limits: PoolLimits,
    private readonly tls: TlsMaterial,
    private readonly options: PoolOptions,
  ) {
    this.#targets = new Targets(settings);
    const [host] = settings.hosts;
    const anyHost = { host: undefined, port: undefined };
    this.#aim = { host: host ?? anyHost, address: null, ssl: tls.attempts()[0], wanted: 'any' };
    this.#pool = createDriverPool(settings, limits, () => this.#aim);
    this.#pool.on('connect', (client) => this.#connected(client));
    this.#pool.on('remove', (client) => this.#removed(client));
    // An idle connection broke; the pool has dropped it and the next caller gets another one.
    this.#pool.on('error', (error) =>
      options.logger.debug('idle-connection-lost', { database: name, reason: error.message }),
    );
    for (const warning of settings.warnings) options.logger.info('configuration-warning', { warning });
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
    const { maxIdleConnections } = this.limits;
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
  retireAll(): void {
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
    return (this.#closed ??= new Deadline(this.options.clock, this.name, timeoutMs)
      .race(this.#pool.end())
      .catch(() => {
        for (const client of this.#inUse) client.connection.stream.destroy();
      }));
  }

  async #connect(deadline: Deadline): Promise<pg.PoolClient> {
    const { clock } = this.options;
    const startedAt = clock.monotonic();
    const caller: Caller = { database: deadline.database, mustWait: false, isGone: false };
    const pending = this.#open(caller);
    try {
      return await deadline.race(pending);
    } catch (error) {
      if (!(error instanceof DatabaseTimeoutError)) throw error;
      caller.isGone = true;
      // Comes too late for this caller, but not for the next one: the search for a host must outlast one who waits.
      pending.then(
        (client) => client.release(),
        () => {},
      );
      const names = this.settings.hosts.flatMap(({ host }) => host ?? []).filter(isNamePending);
      throw names.length > 0
        ? new DatabaseTimeoutError(`${error.message}: the name ${names.join(', ')} is not resolved yet`)
        : error;
    } finally {
      if (caller.mustWait) {
        this.#waitCount++;
        this.#waitDurationMs += clock.monotonic() - startedAt;
      }
    }
  }

  /** An idle connection, or a new one to the first host that is what the URL asks for. */
  async #open(caller: Caller): Promise<pg.PoolClient> {
    if (this.#pool.idleCount === 0) await this.tls.refresh();
    const failures: Failure[] = [];
    for (const server of this.#targets.servers(this.options.clock.monotonic())) {
      const address = textOf(server.host);
      try {
        return await this.#openAt(server, caller);
      } catch (error) {
        if (error instanceof NobodyWaits) throw error;
        if (endsSearch(error)) throw new DatabaseConnectionError(caller.database, address, error);
        failures.push({ address, error });
      }
    }
    throw this.#unreachable(caller, failures);
  }

  #unreachable(caller: Caller, failures: readonly Failure[]): DatabaseConnectionError {
    const [failure, ...others] = failures;
    if (others.length === 0) {
      return new DatabaseConnectionError(caller.database, failure?.address ?? 'nowhere', failure?.error);
    }
    const texts = failures.map(({ address, error }) => `${address}: ${connectionErrorText(error)}`);
    const errors = failures.map(({ error }) => error);
    return new DatabaseConnectionError(
      caller.database,
      this.settings.hosts.map(textOf).join(', '),
      new AggregateError(errors, texts.join('; ')),
    );
  }

  /** If the server is not what is wanted, tries the other addresses of its name. */
  async #openAt(server: Server, caller: Caller): Promise<pg.PoolClient> {
    try {
      return await this.#connectTo(server, caller);
    } catch (error) {
      if (!(error instanceof UnfitServerError) || server.address !== null) throw error;
      const texts = [error.message];
      for (const address of await otherAddresses(server.host, error.address)) {
        try {
          return await this.#connectTo({ ...server, address }, caller);
        } catch (other) {
          if (other instanceof NobodyWaits || endsSearch(other)) throw other;
          texts.push(`at ${address}: ${connectionErrorText(other)}`);
        }
      }
      throw texts.length === 1 ? error : new Error(texts.join('; '));
    }
  }

  /** With libpq's second attempt where sslmode allows one. */
  async #connectTo(server: Server, caller: Caller): Promise<pg.PoolClient> {
    const attempts = this.#targets.attempts(server.host, this.tls.attempts(), this.#pool.totalCount > 0);
    for (const ssl of attempts) {
      const target: Target = { ...server, ssl };
      try {
        return await this.#take(target, caller);
      } catch (error) {
        if (ssl === attempts.at(-1) || !suggestsOtherAttempt(error, ssl)) throw error;
      }
    }
    throw new Error('no way to connect');
  }

  async #take(target: Target, caller: Caller): Promise<pg.PoolClient> {
    const { clock } = this.options;
    this.#aim = target;
    caller.mustWait ||= this.#pool.idleCount === 0 && this.#pool.totalCount >= this.#pool.options.max;
    const client = await this.#pool.connect();
    if (this.#checked.has(client)) {
      if (!caller.isGone) return client;
      client.release(); // at once: the next one asks already
      throw new NobodyWaits();
    }
    try {
      const limit = new Deadline(clock, this.name, connectTimeoutMs(this.settings));
      await limit.race(checkServer(client, target.wanted));
    } catch (error) {
      this.destroy(client);
      throw error;
    }
    this.#checked.add(client);
    this.#targets.took(target, clock.monotonic());
    return client;
  }

  #connected(client: pg.PoolClient): void {
    this.#born.set(client, { generation: this.#generation, atMs: this.options.clock.monotonic() });
    // The caller of a statement is told by its rejection. Without a listener the process would end.
    client.on('error', () => {});
    const isPlainText = this.#aim.ssl === false && this.tls.attempts()[0] !== false;
    if (isPlainText && !this.#plainTextReported) {
      this.#plainTextReported = true;
      this.options.logger.info('connection-not-encrypted', {
        database: this.name,
        reason: `the server offers no TLS and sslmode=${this.settings.sslMode} allows plain text; set sslmode=disable to agree or verify-full to refuse`,
      });
    }
  }

  #removed(client: pg.PoolClient): void {
    const { connectionMaxLifetimeMs } = this.limits;
    const born = this.#born.get(client);
    if (born === undefined || connectionMaxLifetimeMs === 0) return;
    if (this.options.clock.monotonic() - born.atMs >= connectionMaxLifetimeMs) this.#maxLifetimeClosed++;
  }
}

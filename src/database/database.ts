import pg from 'pg';
import Cursor from 'pg-cursor';
import type { Clock } from '../util/clock.js';
import type { DatabaseConfig } from '../config/config.js';
import { requestCancel } from './cancel.js';
import { Deadline } from './deadline.js';
import { DatabaseTimeoutError, isTransient, readOnlyState } from './errors.js';
import { errorCode } from '../util/errors.js';
import { ConnectionPool, type PoolOptions, type PoolStats } from './pool.js';

interface StatementOptions {
  /** Covers the wait for a connection and the statement. */
  readonly timeoutMs: number;
}

interface StreamOptions {
  /** Rows a batch. */
  readonly batchSize: number;
  /** For each batch; the first includes the wait for a connection. */
  readonly timeoutMs: number;
}

interface StatementResult<Row> {
  readonly rows: readonly Row[];
  /** Rows returned or affected. */
  readonly rowCount: number;
}

/** Runs statements one after the other. Row types are what the SQL returns: bigint columns come as text. */
export interface Session {
  query<Row extends pg.QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<StatementResult<Row>>;
}

/**
 * A PostgreSQL database behind a pool. Nothing here needs a session, so that a pooler in transaction mode (pgbouncer)
 * is no obstacle: no named statements, no settings outside transactions. A statement that exceeds its deadline rejects
 * with a DatabaseTimeoutError, the server is asked to cancel it, and its connection is closed, so that a hung server or
 * a silent network never holds a place in the pool. What it did is unknown then.
 */
export interface Database {
  query<Row extends pg.QueryResultRow>(
    sql: string,
    params: readonly unknown[],
    options: StatementOptions,
  ): Promise<StatementResult<Row>>;

  /**
   * Batches of rows as arrays of column values. Rejects when the rows are not complete. Gives its connection back at
   * the end, after a failure, when the consumer stops early, and when it takes no batch for 30 s.
   */
  stream<Row extends readonly unknown[]>(
    sql: string,
    params: readonly unknown[],
    options: StreamOptions,
  ): AsyncIterable<readonly Row[]>;

  /**
   * Commits when `work` resolves, else rolls back. Each statement sees what was committed before it began, whatever the
   * database's default is. Within it `statement_timeout` and `lock_timeout` end a statement in
   * the server too; they are local to the transaction.
   */
  transaction<T>(work: (session: Session) => Promise<T>, options: StatementOptions): Promise<T>;

  stats(): PoolStats;
}

export interface Databases {
  readonly policyDb: Database;
  readonly appMetricsDb: Database;
  /** Lets running statements end for at most half a second. Idempotent; never rejects. */
  close(): Promise<void>;
}

/** Longer than a slow HTTP client needs for a batch; after that its connection is worth more to others. */
const consumerTimeoutMs = 30_000;
/** The callers of statements have given them up by then; a database that hangs must not hold up the exit. */
const closeTimeoutMs = 500;

/** Opens both databases, with one shared pool where they are the same. Rejects with a DatabaseConfigError. */
export async function openDatabases(
  policyDb: DatabaseConfig,
  appMetricsDb: DatabaseConfig,
  options: PoolOptions,
): Promise<Databases> {
  const isShared =
    policyDb.url === appMetricsDb.url && JSON.stringify(policyDb.tls) === JSON.stringify(appMetricsDb.tls);
  const appMetricsPool = await ConnectionPool.open(
    'appmetrics_db',
    isShared ? sharedLimits(appMetricsDb, policyDb) : appMetricsDb,
    options,
  );
  const policyPool = isShared ? appMetricsPool : await ConnectionPool.open('policy_db', policyDb, options);
  return {
    policyDb: new PooledDatabase('policy_db', policyPool, options.clock),
    appMetricsDb: new PooledDatabase('appmetrics_db', appMetricsPool, options.clock),
    async close() {
      await Promise.all([policyPool.close(closeTimeoutMs), appMetricsPool.close(closeTimeoutMs)]);
    },
  };
}

/** Opens one database with a pool of its own, apart from whatever else talks to it. Rejects with a DatabaseConfigError. */
export async function openDatabase(
  name: string,
  config: DatabaseConfig,
  options: PoolOptions,
): Promise<Database & { close(): Promise<void> }> {
  const pool = await ConnectionPool.open(name, config, options);
  return Object.assign(new PooledDatabase(name, pool, options.clock), {
    close: () => pool.close(closeTimeoutMs),
  });
}

/** The larger of two numbers of connections, the shorter of two times; 0 (not limited) only if both are. */
function sharedLimits(one: DatabaseConfig, other: DatabaseConfig): DatabaseConfig {
  const shorter = (a: number, b: number) => (a > 0 && b > 0 ? Math.min(a, b) : Math.max(a, b));
  return {
    ...one,
    maxOpenConnections: Math.max(one.maxOpenConnections, other.maxOpenConnections),
    maxIdleConnections: Math.max(one.maxIdleConnections, other.maxIdleConnections),
    connectionMaxLifetimeMs: shorter(one.connectionMaxLifetimeMs, other.connectionMaxLifetimeMs),
    connectionMaxIdleTimeMs: shorter(one.connectionMaxIdleTimeMs, other.connectionMaxIdleTimeMs),
  };
}

class PooledDatabase implements Database {
  constructor(
    private readonly name: string,
    private readonly pool: ConnectionPool,
    private readonly clock: Clock,
  ) {}

  async query<Row extends pg.QueryResultRow>(
    sql: string,
    params: readonly unknown[],
    options: StatementOptions,
  ): Promise<StatementResult<Row>> {
    const deadline = this.#deadline(options.timeoutMs);
    const client = await this.pool.acquire(deadline);
    try {
      const result = await deadline.race(client.query<Row>(sql, [...params]));
      this.pool.release(client);
      return { rows: result.rows, rowCount: result.rowCount ?? 0 };
    } catch (error) {
      this.#giveBack(client, error);
      throw error;
    }
  }

  async *stream<Row extends readonly unknown[]>(
    sql: string,
    params: readonly unknown[],
    options: StreamOptions,
  ): AsyncGenerator<readonly Row[]> {
    let deadline = this.#deadline(options.timeoutMs);
    const client = await this.pool.acquire(deadline);
    let isHeld = true;
    const cursor = client.query(new Cursor<Row>(sql, [...params], { rowMode: 'array' }));
    try {
      for (;;) {
        const rows = await deadline.race(cursor.read(options.batchSize));
        if (rows.length === 0) break;
        let isAbandoned = false;
        const pause = this.clock.setTimer(consumerTimeoutMs, () => {
          isAbandoned = true;
          isHeld = false;
          this.pool.destroy(client);
        });
        try {
          yield rows;
        } finally {
          pause.cancel();
        }
        if (isAbandoned) {
          throw new DatabaseTimeoutError(
            `${this.name}: the rows were not fetched for ${consumerTimeoutMs} ms`,
          );
        }
        deadline = this.#deadline(options.timeoutMs);
      }
    } catch (error) {
      if (isHeld) this.#giveBack(client, error);
      isHeld = false;
      throw error;
    } finally {
      if (isHeld) await this.#closeCursor(client, cursor, options.timeoutMs);
    }
  }

  async transaction<T>(work: (session: Session) => Promise<T>, options: StatementOptions): Promise<T> {
    const deadline = this.#deadline(options.timeoutMs);
    const client = await this.pool.acquire(deadline);
    const session: Session = {
      async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) {
        const result = await deadline.race(client.query<Row>(sql, [...params]));
        return { rows: result.rows, rowCount: result.rowCount ?? 0 };
      },
    };
    const limitMs = Math.max(1, Math.floor(options.timeoutMs));
    try {
      await session.query(
        `begin isolation level read committed; set local statement_timeout = ${limitMs}; set local lock_timeout = ${limitMs}`,
      );
      const result = await work(session);
      const { command } = await deadline.race(client.query('commit'));
      // The server answers so, without an error, when a statement failed and `work` made nothing of it.
      if (command !== 'COMMIT') throw new Error(`${this.name}: the transaction was rolled back`);
      this.pool.release(client);
      return result;
    } catch (error) {
      const isOver = error instanceof DatabaseTimeoutError || errorCode(error) === readOnlyState;
      if (isOver) this.#giveBack(client, error);
      else await this.#rollBack(client, deadline);
      throw error;
    }
  }

  stats(): PoolStats {
    return this.pool.stats();
  }

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.clock, this.name, timeoutMs);
  }

  /** After a failure: keeps the connection only if the server itself said what is wrong. */
  #giveBack(client: pg.PoolClient, error: unknown): void {
    if (error instanceof DatabaseTimeoutError) {
      requestCancel(client, this.clock);
      this.pool.retireAll();
    }
    // The primary has become a standby, and all connections lead to it.
    if (errorCode(error) === readOnlyState) this.pool.retireAll();
    if (error instanceof pg.DatabaseError && !isTransient(error)) this.pool.release(client);
    else this.pool.destroy(client);
  }

  async #rollBack(client: pg.PoolClient, deadline: Deadline): Promise<void> {
    try {
      await deadline.race(client.query('rollback'));
      this.pool.release(client);
    } catch (error) {
      this.#giveBack(client, error);
    }
  }

  async #closeCursor(client: pg.PoolClient, cursor: Cursor, timeoutMs: number): Promise<void> {
    try {
      await this.#deadline(timeoutMs).race(cursor.close());
      this.pool.release(client);
    } catch (error) {
      this.#giveBack(client, error);
    }
  }
}

import pg from 'pg';
import { ownTablesSql } from '../../src/database/migrations.js';
import type { Database } from '../../src/database/database.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

export interface OwnershipDatabase {
  readonly database: TestDatabase;
  readonly statements: Pick<Database, 'query'>;
  close(): Promise<void>;
}

/** A database with the two tables, and statements that keep the promises of `Database`. */
export async function createOwnershipDatabase(): Promise<OwnershipDatabase> {
  const database = await createDatabase();
  await database.pool.query(ownTablesSql('act'));
  const statements = poolStatements(database.url);
  return {
    database,
    statements,
    async close() {
      await statements.end();
      await database.drop();
    },
  };
}

export function poolStatements(url: string): Pick<Database, 'query'> & { end(): Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 20 });
  pool.on('error', () => {});
  return {
    async query<Row extends pg.QueryResultRow>(
      sql: string,
      params: readonly unknown[],
      { timeoutMs }: { readonly timeoutMs: number },
    ) {
      let client: pg.PoolClient | undefined;
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      });
      const connecting = pool.connect();
      try {
        client = await Promise.race([connecting, deadline]);
        const result = await Promise.race([client.query<Row>(sql, [...params]), deadline]);
        client.release();
        return { rows: result.rows, rowCount: result.rowCount ?? 0 };
      } catch (error) {
        if (client) client.release(true);
        else connecting.then((late) => late.release(true)).catch(() => {});
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
    end: () => pool.end(),
  };
}

import pg from 'pg';
import type { Statements } from '../../src/ownership/member-store.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

const ddl = `
create table eventgenerator_member (
  lease_id uuid primary key,
  instance_guid varchar(255) not null,
  instance_index int not null,
  joined_at timestamptz not null,
  expires_at timestamptz not null,
  apps_owned int not null default 0
);
create table eventgenerator_trigger (
  app_id varchar(255) primary key,
  posted_by uuid not null,
  posted_at timestamptz not null,
  cool_down_until timestamptz null,
  ignored_out_until timestamptz null,
  ignored_in_until timestamptz null
);`;

export interface OwnershipDatabase {
  readonly database: TestDatabase;
  readonly statements: Statements;
  close(): Promise<void>;
}

/** A database with the two tables, and statements that keep the promises of `Statements`. */
export async function createOwnershipDatabase(): Promise<OwnershipDatabase> {
  const database = await createDatabase();
  await database.pool.query(ddl);
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

export function poolStatements(url: string): Statements & { end(): Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 20 });
  pool.on('error', () => {});
  return {
    async query<Row extends Record<string, unknown>>(
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
        return result;
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

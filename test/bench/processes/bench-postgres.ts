import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { BenchmarkContext } from '../benchmark.js';
import { createDatabase, startPostgres, type TestDatabase } from '../../support/postgres.js';
import { createAutoscalerTables } from '../../support/autoscaler-tables.js';
import { cpuSecsOfTree } from './usage.js';

export interface BenchPostgres {
  /** A database with the autoscaler's tables and statistics of statements. */
  createDatabase(): Promise<TestDatabase>;
  /** Of the server with all its processes. */
  cpuSecs(): number;
  stop(): Promise<void>;
}

/**
 * A PostgreSQL server for benchmarks, as an operator of a small one would set it up; fsync is off, so that the disk of
 * the machine is not what is measured.
 */
async function startBenchPostgres(): Promise<BenchPostgres> {
  const server = await startPostgres({
    settings: {
      shared_preload_libraries: 'pg_stat_statements',
      shared_buffers: '512MB',
      max_wal_size: '4GB',
      maintenance_work_mem: '512MB',
    },
  });
  const [pid] = readFileSync(join(server.dataDirectory, 'postmaster.pid'), 'latin1').split('\n');
  return {
    async createDatabase() {
      const database = await createDatabase(server.url);
      await createAutoscalerTables(database.pool);
      await database.pool.query('create extension pg_stat_statements');
      return database;
    },
    cpuSecs: () => cpuSecsOfTree(Number(pid)),
    stop: () => server.stop(),
  };
}

/** One server for all benchmarks of an invocation. */
export function sharedPostgres(
  context: Pick<BenchmarkContext, 'shared' | 'releaseAtEnd'>,
): Promise<BenchPostgres> {
  return context.shared('postgres', async () => {
    const server = await startBenchPostgres();
    context.releaseAtEnd(() => server.stop());
    return server;
  });
}

export interface AppMetricWrites {
  readonly statements: number;
  readonly rows: number;
}

/** What was inserted into app_metric so far, except by `insert … select` from generate_series, as benchmarks do. */
export async function appMetricWrites(pool: pg.Pool): Promise<AppMetricWrites> {
  const { rows } = await pool.query<{ statements: string; rows: string }>(
    `select coalesce(sum(calls), 0) as statements, coalesce(sum(rows), 0) as rows from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database())
       and query ilike '%insert into app_metric%' and query not ilike '%generate_series%'`,
  );
  return { statements: Number(rows[0]?.statements), rows: Number(rows[0]?.rows) };
}

/**
 * Times that a plan read app_metric from end to end. Other sessions tell their statistics when they end; until then
 * theirs may be missing.
 */
export async function sequentialScans(pool: pg.Pool): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ scans: string }>(
    `select seq_scan as scans from pg_stat_user_tables where relname = 'app_metric'`,
  );
  return Number(rows[0]?.scans);
}

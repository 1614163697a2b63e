import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../src/database/migrations.js';
import { tableNames } from '../../src/database/table-names.js';
import { phaseOf } from '../../src/schedule/phases.js';
import { startProcess } from '../pipeline/process.js';
import { openTestDatabases } from '../support/database-config.js';
import type { TestDatabase } from '../support/postgres.js';
import type { Benchmark, BenchmarkContext, Figure } from './benchmark.js';
import { quantile } from './figures.js';
import { appGuid } from './prepared/apps.js';
import { sharedPostgres, type BenchPostgres } from './processes/bench-postgres.js';
import { cpuSecsOfTree, residentBytes } from './processes/usage.js';
import { insertBenchPolicies } from './scene/policies.js';
import { collectionIntervalMs } from './scene/scene.js';

const daysPoints = 86_400_000 / collectionIntervalMs;
/** The whole program, its start included. */
const backtests = 5;

/** What back-tests and the comparison of a day cost, as an operator runs them. Targets are those of more apps, in proportion. */
export const comparison: Benchmark = {
  name: 'compare',
  describe: 'back-tests, and the comparison with observers, of a day of 1,000 apps',
  async run(context) {
    const apps = context.quick ? 50 : 1_000;
    const postgres = await sharedPostgres(context);
    const database = await postgres.createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-compare-'));
    try {
      await fill(context, database, apps);
      const configFile = join(folder, 'eventgenerator.yml');
      await writeFile(configFile, configOf(database.url));
      return { figures: await measure(context, postgres, configFile, apps) };
    } finally {
      await rm(folder, { recursive: true, force: true });
      await database.drop();
    }
  },
};

async function measure(
  context: BenchmarkContext,
  postgres: BenchPostgres,
  configFile: string,
  apps: number,
): Promise<Figure[]> {
  const run = (...args: string[]) => measuredRun([...args, '--since', '24h', '-c', configFile], postgres);
  context.progress('compare: back-tests');
  const secs: number[] = [];
  for (let i = 0; i < backtests; i++) secs.push((await run('backtest', '--app', appGuid(i))).secs);
  context.progress('compare: back-test of all apps');
  const all = await run('backtest', '--all');
  context.progress('compare: comparison');
  const compared = await run('compare');
  return [
    { name: 'backtest_p50_secs', value: quantile(secs, 0.5), target: { atMost: 1 } },
    { name: 'backtest_secs_1000_apps', value: (all.secs * 1_000) / apps, target: { atMost: 600 } },
    { name: 'backtest_rss_mb', value: all.rssMb, target: { atMost: 256 } },
    { name: 'compare_secs_10000_apps', value: (compared.secs * 10_000) / apps, target: { atMost: 600 } },
    { name: 'compare_rss_mb', value: compared.rssMb, target: { atMost: 256 } },
    { name: 'compare_cpu_ms_app', value: (compared.cpuSecs * 1_000) / apps },
    { name: 'compare_database_cpu_ms_app', value: (compared.databaseCpuSecs * 1_000) / apps },
  ];
}

interface Run {
  readonly secs: number;
  readonly rssMb: number;
  /** Of the program, and of the database. */
  readonly cpuSecs: number;
  readonly databaseCpuSecs: number;
}

/** Rejects where the program fails. It says with 3 that apps differ, as they may at the ends of the day. */
async function measuredRun(args: readonly string[], postgres: BenchPostgres): Promise<Run> {
  const startedMs = performance.now();
  const databaseBefore = postgres.cpuSecs();
  const program = startProcess(args);
  const used = { rssMb: 0, cpuSecs: 0 };
  const timer = setInterval(() => {
    try {
      const rssMb = residentBytes(program.pid) / 2 ** 20;
      // NaN when it is just ending.
      if (rssMb > used.rssMb) used.rssMb = rssMb;
      used.cpuSecs = cpuSecsOfTree(program.pid);
    } catch {
      // It has just ended.
    }
  }, 50);
  const code = await program.ended;
  clearInterval(timer);
  if (code !== 0 && code !== 3) throw new Error(`${args.join(' ')} ended with ${code}: ${program.errors()}`);
  const secs = (performance.now() - startedMs) / 1_000;
  return { ...used, secs, databaseCpuSecs: postgres.cpuSecs() - databaseBefore };
}

function configOf(databaseUrl: string): string {
  const url = 'https://127.0.0.1:1';
  const database = { url: databaseUrl };
  return JSON.stringify({
    db: { policy_db: database, appmetrics_db: database },
    scalingEngine: { scaling_engine_url: url },
    metricCollector: {
      metric_collector_url: url,
      uaa: { url, client_id: 'x', client_secret: 'y', grant_type: 'client_credentials' },
    },
    pool: { mode: 'elastic' },
    aggregator: { aggregator_execute_interval: `${collectionIntervalMs / 1_000}s` },
    defaultStatWindowSecs: 120,
    defaultBreachDurationSecs: 120,
  });
}

/**
 * A day of both fleets. The acting one writes the apps of each interval in any order, as the Go eventgenerator does, the
 * observers in the order in which they collect them, 7 s later.
 */
async function fill(context: BenchmarkContext, { url, pool }: TestDatabase, apps: number): Promise<void> {
  context.progress(`compare: setting up a day of ${apps} apps`);
  await insertBenchPolicies(pool, apps);
  const databases = await openTestDatabases(url);
  await migrate(databases, { mode: 'observe', all: false }).finally(() => databases.close());
  const endsMs = Date.now();
  await insertDay(pool, tableNames('act').appMetric, apps, endsMs, 'hashint8(place * 7919 + step)');
  await insertDay(pool, tableNames('observe').appMetric, apps, endsMs + 7_000, 'place');
  await pool.query('vacuum (analyze)');
}

/** Every seventh app has some minutes in breach now and then. */
async function insertDay(
  pool: TestDatabase['pool'],
  table: string,
  apps: number,
  endsMs: number,
  order: string,
): Promise<void> {
  const phases = Array.from({ length: apps }, (_, i) => ({
    appId: appGuid(i),
    phaseMs: phaseOf(appGuid(i), collectionIntervalMs),
  })).sort((a, b) => a.phaseMs - b.phaseMs);
  const { rows: indexes } = await pool.query<{ name: string; definition: string }>(
    'select indexname as name, indexdef as definition from pg_indexes where tablename = $1',
    [table],
  );
  // An index made afterwards is made in a fraction of the time.
  for (const { name } of indexes) await pool.query(`drop index ${name}`);
  await pool.query(
    `insert into ${table} (app_id, metric_type, unit, timestamp, value)
     select app_id, metric_type, unit,
       ($4::bigint + (step - $5::int) * $3::bigint + phase_ms) * 1000000,
       (base + (place * 31 + step * 7) % 23 + case when place % 7 = 0 and step % 500 < 20 then 60 else 0 end)::text
     from generate_series(1, $5::int) as step
     cross join unnest($1::text[], $2::bigint[]) with ordinality as app (app_id, phase_ms, place)
     cross join (values ('cpu', '%', 30), ('memoryutil', '%', 50), ('throughput', 'rps', 40)) as metric (metric_type, unit, base)
     order by step, ${order}, metric_type`,
    [
      phases.map(({ appId }) => appId),
      phases.map(({ phaseMs }) => phaseMs),
      collectionIntervalMs,
      endsMs,
      daysPoints,
    ],
  );
  for (const { definition } of indexes) await pool.query(definition);
}

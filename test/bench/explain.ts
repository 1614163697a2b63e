import { migrate } from '../../src/database/migrations.js';
import { tableNames } from '../../src/database/table-names.js';
import { createDecisionStore } from '../../src/decisions/decision-store.js';
import { createFactsReader } from '../../src/decisions/facts-reader.js';
import { explain } from '../../src/explanation/explain.js';
import { explanationJson } from '../../src/explanation/explanation-json.js';
import { chartPointsReader } from '../../src/history/chart-points.js';
import { appPage } from '../../src/pages/app-page.js';
import { createPageSource, type PageSource } from '../../src/pages/page-source.js';
import type { Databases } from '../../src/database/database.js';
import { systemClock } from '../../src/util/clock.js';
import { openTestDatabases } from '../support/database-config.js';
import type { TestDatabase } from '../support/postgres.js';
import type { Benchmark, BenchmarkContext, Figure } from './benchmark.js';
import { quantile } from './figures.js';
import { appGuid } from './prepared/apps.js';
import { sharedPostgres } from './processes/bench-postgres.js';
import { insertBenchPolicies, insertHistory, insertLongHistory, metricTypes } from './scene/policies.js';
import { collectionIntervalMs } from './scene/scene.js';

/** Apps whose pages have two days of history; the first ones. */
const oldApps = 50;
const twoDaysPoints = (2 * 86_400_000) / collectionIntervalMs;
const settings = { defaultBreachDurationSecs: 120, collectionIntervalMs };

/** What it costs to say why an app was scaled or not, as a command or a member that does not own the app says it. */
export const explanations: Benchmark = {
  name: 'explain',
  describe: 'explanations and pages on a table of 10,000,000 rows',
  async run(context) {
    const apps = context.quick ? 2_000 : 50_000;
    const postgres = await sharedPostgres(context);
    const database = await postgres.createDatabase();
    const databases = await openTestDatabases(database.url);
    try {
      await migrate(databases, { mode: 'act', all: false });
      await fill(context, database, apps);
      return { figures: await measure(context, databases, apps) };
    } finally {
      await databases.close();
      await database.drop();
    }
  },
};

async function fill(context: BenchmarkContext, { pool }: TestDatabase, apps: number): Promise<void> {
  const rows = context.quick ? 400_000 : 10_000_000;
  context.progress(`explain: setting up a table of ${rows} rows`);
  await insertBenchPolicies(pool, apps);
  for (const type of metricTypes) await insertLongHistory(pool, oldApps, type, twoDaysPoints);
  await insertHistory(pool, Math.ceil(rows / (apps * metricTypes.length)), collectionIntervalMs / 1000);
  // As a table is that has grown for days.
  await pool.query('vacuum (analyze) app_metric');
}

async function measure(context: BenchmarkContext, databases: Databases, apps: number): Promise<Figure[]> {
  const readFacts = createFactsReader({
    ...databases,
    mode: 'act',
    pool: { mode: 'elastic', static: null },
    clock: systemClock,
    settings,
    evaluationIntervalMs: collectionIntervalMs,
    local: null,
  });
  const store = createDecisionStore(databases.appMetricsDb, tableNames('act'));
  const explained = async (appId: string) => explain(await readFacts(appId), settings);
  const source = createPageSource({
    clock: systemClock,
    isObserver: false,
    decisions: {
      explain: explained,
      changes: (query) => store.readChanges(query),
      list: () => Promise.resolve([]),
      count: () => store.count(),
    },
    readChartPoints: chartPointsReader(databases.appMetricsDb, tableNames('act')),
    readMembers: null,
    breakers: () => [],
    collectionIntervalMs,
  });
  context.progress('explain: explanations');
  const questions = context.quick ? 100 : 1_000;
  const times: number[] = [];
  for (let i = 0; i < questions; i++) {
    const startedMs = performance.now();
    const explanation = await explained(appGuid((i * 7_919) % apps));
    JSON.stringify(explanationJson(explanation));
    times.push(performance.now() - startedMs);
    if (!explanation.rules.every(({ newest }) => newest)) throw new Error('app metrics were not found');
  }
  context.progress('explain: pages');
  const cpuMs = await pages(source);
  return [
    { name: 'explain_p50_ms', value: quantile(times, 0.5) },
    { name: 'explain_p99_ms', value: quantile(times, 0.99), target: { atMost: 100 } },
    { name: 'page_cpu_p50_ms', value: quantile(cpuMs, 0.5), target: { atMost: 50 } },
    { name: 'page_cpu_p99_ms', value: quantile(cpuMs, 0.99) },
  ];
}

/** Processor time of this process for each page, after some that let code be compiled. */
async function pages(source: PageSource): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 4 * oldApps; i++) {
    const before = process.cpuUsage();
    const text = appPage(await source.app(appGuid(i % oldApps)));
    const { user, system } = process.cpuUsage(before);
    if (i >= oldApps) times.push((user + system) / 1000);
    if (!text.includes('<svg')) throw new Error('the page has no chart');
  }
  return times;
}

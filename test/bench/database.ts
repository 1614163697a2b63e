import type { Benchmark, BenchmarkContext, Figure } from './benchmark.js';
import { sequentialScans } from './processes/bench-postgres.js';
import { insertBenchPolicies, insertHistory, metricTypes } from './scene/policies.js';
import { collectionIntervalMs, withScene } from './scene/scene.js';
import { steadyRun } from './scene/steady-run.js';

/** What appmetrics_db has to do for one process, and how long a restart takes. */
export const database: Benchmark = {
  name: 'database',
  describe: 'inserts per second at 50,000 apps; a restart on a table of 10,000,000 rows',
  async run(context) {
    const apps = context.quick ? 2_000 : 50_000;
    const { inserts, secs } = await steadyRun(context, apps);
    return {
      figures: [
        { name: 'inserts_per_s', value: inserts.statements / secs, target: { atMost: 1 } },
        { name: 'rows_per_s', value: inserts.rows / secs },
        ...(await restart(context, apps)),
      ],
    };
  },
};

/** Twice the longest breach duration of the policies, 120 s, is in the table, and as much again and again before it. */
async function restart(context: BenchmarkContext, apps: number): Promise<Figure[]> {
  const rowsWanted = context.quick ? 400_000 : 10_000_000;
  const points = Math.ceil(rowsWanted / (apps * metricTypes.length));
  context.progress(`database: setting up a table of ${rowsWanted} rows`);
  let scansBefore = NaN;
  return withScene(
    context,
    {
      delayMs: 100,
      prepare: async ({ pool }) => {
        await insertBenchPolicies(pool, apps);
        await insertHistory(pool, points, collectionIntervalMs / 1000);
        // As a table is that has grown for days; index-only scans need it.
        await pool.query('vacuum (analyze) app_metric');
        scansBefore = await sequentialScans(pool);
      },
    },
    async ({ database: { pool }, eventgenerator }) => {
      context.progress('database: restarting');
      const warm = await eventgenerator.line('eventgenerator.warm-up.done', 120_000);
      await eventgenerator.stop();
      return [
        { name: 'table_rows', value: points * apps * metricTypes.length },
        { name: 'points_read_back', value: Number(warm.data['points']) },
        {
          name: 'warm_s',
          value: (warm.readAtMs - eventgenerator.startedAtMs) / 1000,
          target: { atMost: 10 },
        },
        { name: 'warm_up_s', value: Number(warm.data['millis']) / 1000 },
        {
          name: 'sequential_scans',
          value: (await sequentialScans(pool)) - scansBefore,
          target: { atMost: 0 },
        },
      ];
    },
  );
}

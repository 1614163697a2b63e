import type pg from 'pg';
import type { Benchmark, BenchmarkContext, Figure } from './benchmark.js';
import { pause } from './figures.js';
import { membersChange } from './foundation-members.js';
import { longestTaskMs, scrapedWhile } from './processes/looking.js';
import { increase } from './processes/prometheus-text.js';
import { cpuSecsOfTree } from './processes/usage.js';
import { insertBenchPolicies } from './scene/policies.js';
import { withScene, type Scene } from './scene/scene.js';

/** What a member takes of a foundation whose apps are mostly other members'. */
export const foundation: Benchmark = {
  name: 'foundation',
  describe:
    '500,000 policies of which a member owns none, 5,000 and 50,000: memory, polls, longest task, membership',
  async run(context) {
    const policies = context.quick ? 20_000 : 500_000;
    const alone = await run(context, { policies: 0, share: 0 });
    const figures: Figure[] = [];
    let foreignBytes = NaN;
    for (const share of [0, 0.01, 0.1]) {
      const owned = await run(context, { policies, share });
      if (share === 0) foreignBytes = (owned.heapBytes - alone.heapBytes) / policies;
      figures.push(...figuresOf(owned, Math.round(policies * share), alone.quiet.cpuMs));
    }
    return {
      figures: [
        { name: 'bytes_per_foreign_app', value: foreignBytes, target: { atMost: 100 } },
        { name: 'idle_cpu_ms_per_poll', value: alone.quiet.cpuMs },
        { name: 'idle_longest_task_ms', value: alone.quiet.longestTaskMs },
        ...figures,
        ...(await membersChange(context)),
      ],
    };
  },
};

/** What one poll costs, on average. */
interface PollCost {
  readonly cpuMs: number;
  readonly databaseMs: number;
  readonly rows: number;
  readonly longestTaskMs: number;
}

interface Run {
  readonly heapBytes: number;
  readonly startMs: number;
  readonly longestTaskMs: number;
  readonly quiet: PollCost;
  readonly changed: PollCost;
}

const pollEverySecs = 5;
const changedShare = 0.01;
const startTimeoutMs = 120_000;
const measuredSecs = 30;

/** Collection is made rare, so that it is not what is measured. */
function run(
  context: BenchmarkContext,
  { policies, share }: { readonly policies: number; readonly share: number },
): Promise<Run> {
  context.progress(`foundation: ${policies} policies, ${policies * share} of them the member's`);
  // A member whose share is one of so many owns none of them.
  const totalInstances = share > 0 ? Math.round(1 / share) : 2 ** 31 - 1;
  return withScene(
    context,
    {
      delayMs: 100,
      config: { collectionIntervalSecs: 3_600, policyPollerIntervalSecs: pollEverySecs, totalInstances },
      prepare: async ({ pool }) => {
        await insertBenchPolicies(pool, policies);
        await pool.query('vacuum analyze policy_json');
      },
    },
    async (scene) => {
      const { eventgenerator, database } = scene;
      const started = await eventgenerator.line('eventgenerator.started', startTimeoutMs);
      const start = await watch(scene, async () => {
        while ((await eventgenerator.scrape()).sum(`${prefix}policies`) < policies) await pause(500);
        await pause(5_000);
      });
      const quiet = await watch(scene, () => pause(measuredSecs * 1000));
      const changed = await watch(scene, async () => {
        await insertBenchPolicies(database.pool, Math.floor(policies * changedShare), 1);
        await pause(2 * pollEverySecs * 1000);
      });
      return {
        heapBytes: quiet.heapBytes,
        startMs: started.readAtMs - eventgenerator.startedAtMs,
        longestTaskMs: start.longestTaskMs,
        quiet: quiet.perPoll,
        changed: changed.perPoll,
      };
    },
  );
}

const prefix = 'autoscaler_eventgenerator_';

/** What the process takes while `during` runs. */
async function watch({ eventgenerator, database }: Scene, during: () => Promise<void>) {
  const before = {
    cpuSecs: cpuSecsOfTree(eventgenerator.pid),
    database: await policyStatements(database.pool),
  };
  const { first, scrapes } = await scrapedWhile(eventgenerator, during);
  const after = await policyStatements(database.pool);
  const longestMs = longestTaskMs(scrapes);
  const polls = increase(first, scrapes.at(-1) ?? first, `${prefix}policy_polls_total`);
  return {
    /** The least is closest to what is in use: the rest is garbage. */
    heapBytes: Math.min(...scrapes.map((scrape) => scrape.sum('nodejs_heap_size_used_bytes'))),
    longestTaskMs: longestMs,
    perPoll: {
      cpuMs: ((cpuSecsOfTree(eventgenerator.pid) - before.cpuSecs) * 1000) / polls,
      databaseMs: (after.ms - before.database.ms) / polls,
      rows: (after.rows - before.database.rows) / polls,
      longestTaskMs: longestMs,
    },
  };
}

async function policyStatements(pool: pg.Pool): Promise<{ ms: number; rows: number }> {
  const { rows } = await pool.query<{ ms: number; rows: string }>(
    `select coalesce(sum(total_exec_time), 0) as ms, coalesce(sum(rows), 0) as rows from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database())
       and query like '%policy_json%' and query not ilike '%insert%' and query not like '%pg_stat%'`,
  );
  return { ms: rows[0]?.ms ?? NaN, rows: Number(rows[0]?.rows) };
}

/** `idleMs`: what the process takes in the time of a poll without any policies. */
function figuresOf({ startMs, longestTaskMs, quiet, changed }: Run, owned: number, idleMs: number): Figure[] {
  const figure = (name: string, value: number, atMost?: number): Figure => ({
    name: `${name}_${owned}`,
    value,
    ...(atMost === undefined ? {} : { target: { atMost } }),
  });
  return [
    figure('start_ms', startMs),
    figure('longest_task_start_ms', longestTaskMs, 50),
    figure('cpu_ms_per_poll', quiet.cpuMs - idleMs, owned === 0 ? 100 : undefined),
    figure('longest_task_ms', quiet.longestTaskMs, 50),
    figure('database_ms_per_poll', quiet.databaseMs, 500),
    figure('rows_per_poll', quiet.rows),
    figure('cpu_ms_per_poll_changed', changed.cpuMs - idleMs),
    figure('longest_task_changed_ms', changed.longestTaskMs, 50),
    figure('database_ms_per_poll_changed', changed.databaseMs),
  ];
}

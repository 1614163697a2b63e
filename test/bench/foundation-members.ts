import type pg from 'pg';
import type { Database } from '../../src/database/database.js';
import { tableNames } from '../../src/database/table-names.js';
import { memberOf } from '../../src/ownership/lease-id.js';
import { createMemberStore } from '../../src/ownership/member-store.js';
import { createView, type View } from '../../src/ownership/rendezvous.js';
import type { BenchmarkContext, Figure } from './benchmark.js';
import { pause } from './figures.js';
import { appGuid } from './prepared/apps.js';
import { longestTaskMs, scrapedWhile } from './processes/looking.js';
import { peerGuid } from '../support/peers.js';
import { insertBenchPolicies } from './scene/policies.js';
import { withScene } from './scene/scene.js';

const intervalSecs = 40;
const peers = 19;
/** What passes at most until the others take over from a member that died. */
const takeoverSecs = 7;
/** After this time a member that starts has collected each of its apps. */
const firstCyclesSecs = 60;
const timeoutMs = 180_000;

/** A member joins a large foundation, and dies. How long is it until each app that it gains or loses is collected? */
export function membersChange(context: BenchmarkContext): Promise<Figure[]> {
  const policies = context.quick ? 20_000 : 500_000;
  const guids = Array.from({ length: policies }, (_, i) => appGuid(i));
  context.progress(`foundation: ${policies} policies, a member and ${peers} peers; one more joins, and dies`);
  return withScene(
    context,
    {
      delayMs: 100,
      config: { collectionIntervalSecs: intervalSecs },
      env: { EVENTGENERATOR_POOL_MODE: 'elastic' },
      peers,
      prepare: async ({ pool }) => {
        await insertBenchPolicies(pool, policies);
        await pool.query('vacuum analyze policy_json');
      },
    },
    async ({ database: { pool }, eventgenerator, startAnother }) => {
      const before = await viewOf(pool, 1);
      const [resident = ''] = before.measured;
      const own = guids.filter((guid) => before.view.ownerOf(guid) === resident);
      const startSecs = await secsUntilCollected(pool, own, eventgenerator.startedAtMs);

      const joined = await scrapedWhile(eventgenerator, async () => {
        const newcomer = await startAnother();
        const after = await viewOf(pool, 2);
        const gained = guids.filter((guid) => after.view.ownerOf(guid) === after.measured[1]);
        const fromResident = gained.filter((guid) => before.view.ownerOf(guid) === resident);
        // The resident's apps have app metrics of this time already.
        const fromPeers = gained.filter((guid) => before.view.ownerOf(guid) !== resident);
        const secs = await secsUntilCollected(pool, fromPeers, newcomer.startedAtMs);
        return { newcomer, fromResident, secs };
      });

      const { newcomer, fromResident } = joined.result;
      const died = await scrapedWhile(eventgenerator, () => {
        process.kill(newcomer.pid, 'SIGKILL');
        return secsUntilCollected(pool, fromResident, Date.now());
      });
      return [
        { name: 'members_apps', value: own.length },
        { name: 'members_start_collected_s', value: startSecs, target: { atMost: firstCyclesSecs } },
        { name: 'members_join_collected_s', value: joined.result.secs, target: { atMost: firstCyclesSecs } },
        {
          name: 'members_join_longest_task_ms',
          value: longestTaskMs(joined.scrapes),
          target: { atMost: 50 },
        },
        { name: 'members_died_apps', value: fromResident.length },
        {
          name: 'members_died_collected_s',
          value: died.result,
          target: { atMost: takeoverSecs + intervalSecs },
        },
        { name: 'members_died_longest_task_ms', value: longestTaskMs(died.scrapes), target: { atMost: 50 } },
      ];
    },
  );
}

/** Resolves when `measured` members count that are no peers; the oldest is the first. */
async function viewOf(pool: pg.Pool, measured: number): Promise<{ view: View; measured: string[] }> {
  const endMs = performance.now() + timeoutMs;
  const query: Database['query'] = async (sql, params) => {
    const { rows, rowCount } = await pool.query(sql, [...params]);
    return { rows, rowCount: rowCount ?? 0 };
  };
  const store = createMemberStore({ query }, tableNames('act'));
  for (;;) {
    const counting = (await store.readMembers()).filter(({ countsInMs }) => countsInMs <= 0);
    const own = counting.filter(({ instanceGuid }) => instanceGuid !== peerGuid);
    if (own.length === measured) {
      const idsOf = (leases: typeof own) => leases.map(({ leaseId }) => memberOf(leaseId));
      return { view: createView(idsOf(counting)), measured: idsOf(own) };
    }
    if (performance.now() > endMs) throw new Error(`${own.length} members in place of ${measured}`);
    await pause(500);
  }
}

/** Seconds from a wall-clock time until the last of these apps had its first app metric after it. */
async function secsUntilCollected(pool: pg.Pool, guids: readonly string[], fromMs: number): Promise<number> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    await pause(2_000);
    const { rows } = await pool.query<{ app_id: string; first: string }>(
      `select app_id, min(timestamp) as first from app_metric
       where metric_type = 'cpu' and timestamp > $1::bigint and app_id = any($2) group by app_id`,
      [`${fromMs}000000`, guids],
    );
    if (rows.length === guids.length) {
      return Math.max(...rows.map(({ first }) => (Number(first) / 1e6 - fromMs) / 1000));
    }
    if (performance.now() > endMs) throw new Error(`${guids.length - rows.length} apps were not collected`);
  }
}

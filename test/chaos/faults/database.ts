import pg from 'pg';
import type { TcpProxy } from '../../support/tcp-proxy.js';
import type { Member } from '../member.js';
import type { Random } from '../random.js';
import type { Stage } from '../stage.js';
import { indexes, repeat, someMembers, type FaultKind } from './fault.js';

interface Way {
  readonly detail: string;
  readonly proxies: readonly TcpProxy[];
}

/** The ways of one member or of all to one database or to both. */
function someWays(stage: Stage, random: Random): Way {
  const members = someMembers(stage, random);
  const which = random.pick(['policy_db', 'appmetrics_db', 'both'] as const);
  const of = ({ policyDb, appMetricsDb }: Member) =>
    which === 'both' ? [policyDb, appMetricsDb] : [which === 'policy_db' ? policyDb : appMetricsDb];
  return { detail: `${which}, ${indexes(members)}`, proxies: members.flatMap(of) };
}

/** A table that nobody else can read or write while this is in force. */
async function lockTable(url: string, table: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the server may be restarted meanwhile
  await client.connect();
  await client.query(`begin; lock table ${table} in access exclusive mode`);
  return () => client.end();
}

/** For all sessions, new and present ones. */
async function setReadOnly(url: string, on: boolean): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`alter system set default_transaction_read_only = ${on ? 'on' : 'off'}`);
    await client.query('select pg_reload_conf()');
  } finally {
    await client.end();
  }
}

export const databaseFaults: readonly FaultKind[] = [
  {
    name: 'database.restart',
    longestSecs: 20,
    async begin({ postgres }) {
      await postgres.crash();
      return { detail: 'both databases', end: () => postgres.start() };
    },
  },
  {
    name: 'database.freeze',
    longestSecs: 60,
    effects: ['unclaimed'],
    begin(stage, random) {
      const { detail, proxies } = someWays(stage, random);
      for (const proxy of proxies) proxy.goSilent();
      return { detail, end: () => proxies.forEach((proxy) => proxy.resume()) };
    },
  },
  {
    name: 'database.cut',
    longestSecs: 20,
    begin(stage, random) {
      const { detail, proxies } = someWays(stage, random);
      return { detail, end: repeat(1_000, () => proxies.forEach((proxy) => proxy.cut())) };
    },
  },
  {
    name: 'database.lost-answers',
    longestSecs: 20,
    effects: ['unclaimed'],
    begin(stage, random) {
      const { detail, proxies } = someWays(stage, random);
      return { detail, end: repeat(2_000, () => proxies.forEach((proxy) => proxy.loseNextAnswers())) };
    },
  },
  {
    name: 'database.own-tables-dropped',
    longestSecs: 10,
    effects: ['unclaimed'],
    async begin({ appMetricsDb }) {
      await appMetricsDb.pool.query('drop table if exists eventgenerator_member, eventgenerator_trigger');
      return { detail: 'eventgenerator_member, eventgenerator_trigger', end: () => undefined };
    },
  },
  {
    // As after a failover to a standby, until that is promoted.
    name: 'database.read-only',
    longestSecs: 40,
    effects: ['unclaimed'],
    async begin({ postgres }) {
      await setReadOnly(postgres.url, true);
      return { detail: 'both databases', end: () => setReadOnly(postgres.url, false) };
    },
  },
  {
    name: 'database.slow-statements',
    longestSecs: 40,
    effects: ['unclaimed'],
    async begin({ policyDb, appMetricsDb }, random) {
      const table = random.pick([
        'policy_json',
        'app_metric',
        'eventgenerator_trigger',
        'eventgenerator_member',
      ]);
      const { url } = table === 'policy_json' ? policyDb : appMetricsDb;
      return { detail: table, end: await lockTable(url, table) };
    },
  },
];

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAutoscalerTables } from '../../support/autoscaler-tables.js';
import {
  createDatabase,
  startPostgres,
  type PostgresServer,
  type TestDatabase,
} from '../../support/postgres.js';
import type { BenchmarkContext } from '../benchmark.js';
import { Breaches } from './breaches.js';
import { Fleet, type Member } from './fleet.js';
import { startElasticPlatform, type ElasticPlatform } from './platform-process.js';
import { CyclesBook } from './cycles-book.js';
import { TriggersBook } from './triggers-book.js';

export const intervalMs = 4_000;

/** What events happen to, and the books of what became of it. */
export interface Stage {
  readonly context: BenchmarkContext;
  readonly apps: number;
  readonly postgres: PostgresServer;
  readonly database: TestDatabase;
  readonly fleet: Fleet;
  readonly breaches: Breaches;
  readonly cycles: CyclesBook;
  readonly triggers: TriggersBook;
  /** Brings the books up to date. */
  read(): Promise<void>;
  /** When the member got its present lease, wall-clock ms. */
  joinedAtMs(member: Member): Promise<number>;
}

/** Sets the stage, plays on it, and clears it away again, also after a failure. */
export async function withStage<T>(
  context: BenchmarkContext,
  apps: number,
  play: (stage: Stage) => Promise<T>,
): Promise<T> {
  const releases: (() => Promise<unknown>)[] = [];
  let released: Promise<void> | undefined;
  const release = () =>
    (released ??= (async () => {
      for (const each of releases.reverse()) await each();
    })());
  context.releaseAtEnd(release);
  try {
    const postgres = await startPostgres({
      settings: { shared_buffers: '256MB', max_wal_size: '4GB', synchronous_commit: 'on' },
    });
    releases.push(() => postgres.stop());
    const database = await createDatabase(postgres.url);
    releases.push(() => database.pool.end());
    await createAutoscalerTables(database.pool);
    const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-elastic-'));
    releases.push(() => rm(folder, { recursive: true, force: true }));
    const platform = await startElasticPlatform({ apps });
    releases.push(() => platform.stop());
    const breaches = new Breaches(platform, apps);
    releases.push(async () => breaches.stop());
    await breaches.insertPolicies(database.pool);
    const fleet = new Fleet({ platform, folder, databaseUrl: database.url, intervalMs });
    releases.push(() => fleet.stop());
    return await play({
      context,
      apps,
      postgres,
      database,
      fleet,
      breaches,
      ...booksOf(platform, apps, database),
    });
  } finally {
    await release();
  }
}

function booksOf(
  platform: ElasticPlatform,
  apps: number,
  { pool }: TestDatabase,
): Pick<Stage, 'cycles' | 'triggers' | 'read' | 'joinedAtMs'> {
  const cycles = new CyclesBook(apps);
  const triggers = new TriggersBook();
  return {
    cycles,
    triggers,
    async read() {
      const noted = await platform.books();
      cycles.add(noted.reads);
      triggers.add(noted.triggers);
    },
    async joinedAtMs({ number }) {
      const { rows } = await pool.query<{ joined_at_ms: number | null }>(
        `select (extract(epoch from max(joined_at)) * 1000)::float8 as joined_at_ms
         from eventgenerator_member where instance_index = $1`,
        [number],
      );
      return rows[0]?.joined_at_ms ?? NaN;
    },
  };
}

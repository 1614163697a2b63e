import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Releasers } from '../../src/util/releasers.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import {
  createDatabase,
  startPostgres,
  type PostgresServer,
  type TestDatabase,
} from '../support/postgres.js';
import { appOptions, guidOfApp, Policies } from './apps.js';
import { Diary } from './diary.js';
import { LateStreams } from './late-streams.js';
import { nodes } from './faults/platform.js';
import { Member, type StopOutcome } from './member.js';
import { writeNameFaults } from './names.js';
import type { ChaosOptions } from './options.js';
import { Random } from './random.js';

/** Everything that faults happen to. */
export interface Stage {
  readonly options: ChaosOptions;
  readonly guids: readonly string[];
  readonly postgres: PostgresServer;
  readonly policyDb: TestDatabase;
  readonly appMetricsDb: TestDatabase;
  readonly platform: Platform;
  readonly lateStreams: LateStreams;
  readonly members: readonly Member[];
  readonly policies: Policies;
  readonly diary: Diary;
  readonly namesFile: string;
  /** How members ended that were asked to. */
  readonly stops: StopOutcome[];
  readonly progress: (text: string) => void;
}

const databaseSettings = {
  synchronous_commit: 'on',
  max_connections: '300',
  // Tells when rows were written whatever time they carry.
  track_commit_timestamp: 'on',
};
/** What of the platform's past is needed at the end beyond the run itself. */
const spareSecs = 1_800;

/** Sets the stage. Whatever was set up so far is released also when this fails. */
export async function setStage(
  options: ChaosOptions,
  progress: (text: string) => void,
  releasers: Pick<Releasers, 'add'>,
): Promise<Stage> {
  const { apps, seed, intervalSecs } = options;
  const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-chaos-'));
  releasers.add('folder', () => rm(folder, { recursive: true, force: true }));
  const postgres = await startPostgres({ settings: databaseSettings });
  releasers.add('postgres', () => postgres.stop());
  const [policyDb, appMetricsDb] = [await createDatabase(postgres.url), await createDatabase(postgres.url)];
  for (const { pool } of [policyDb, appMetricsDb]) {
    releasers.add('pool', () => pool.end());
    await createAutoscalerTables(pool);
  }
  const guids = Array.from({ length: apps }, (_, app) => guidOfApp(app, seed));
  const lateStreams = new LateStreams();
  const platform = await startPlatform({
    apps: guids.map((_, app) => appOptions(app, options)),
    seed,
    logCacheNodes: nodes,
    lateMs: (stream, timestampUs) => lateStreams.lateMs(stream, stream.cellId === null, timestampUs),
    retentionSecs: options.minutes * 60 + spareSecs,
  });
  releasers.add('platform', () => platform.stop());
  const policies = new Policies(policyDb.pool, new Random(seed).fork(1), intervalSecs, guids);
  await policies.insertAll();
  const namesFile = join(folder, 'names.json');
  await writeNameFaults(namesFile, {});
  const members: Member[] = [];
  for (let index = 0; index < options.members; index++) {
    const member = await Member.create({
      index,
      platform,
      folder,
      namesFile,
      policyDbUrl: policyDb.url,
      appMetricsDbUrl: appMetricsDb.url,
      intervalSecs,
    });
    members.push(member);
    releasers.add(`member ${index}`, () => member.close());
  }
  if (options.logs !== undefined) releasers.add('logs', () => keepLogs(options.logs ?? '', members));
  return {
    options,
    guids,
    postgres,
    policyDb,
    appMetricsDb,
    platform,
    lateStreams,
    members,
    policies,
    diary: new Diary(),
    namesFile,
    stops: [],
    progress,
  };
}

async function keepLogs(folder: string, members: readonly Member[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const member of members) {
    const text = member.lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await writeFile(join(folder, `member-${member.index}.log`), text);
  }
}

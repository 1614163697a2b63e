import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Releasers } from '../../src/util/releasers.js';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { openPolicyDatabase, type PolicyDatabase } from '../platform/policy-database.js';
import { openAppMetricsApi, type AppMetricsApi } from './app-metrics-api.js';
import type { Part } from './cast.js';
import { startEventgenerator, type EventgeneratorProcess } from './eventgenerator-process.js';
import type { LogLine } from '../../src/cli/readable-log-line.js';
import { evaluationIn } from './log-lines.js';
import type { Stage } from './stage.js';

export interface SettingOptions {
  readonly cast: readonly Part[];
  readonly stage: Stage;
  /** Gets everything that is started, in the order in which it is. */
  readonly releasers: Pick<Releasers, 'add'>;
  /** Aborted: nothing more is started. */
  readonly over: AbortSignal;
}

export interface Setting {
  readonly platform: Platform;
  readonly eventgenerator: EventgeneratorProcess;
}

/** Starts all that the demo consists of; the eventgenerator may not have come up when it resolves. */
export async function setUp({ cast, stage, releasers, over }: SettingOptions): Promise<Setting> {
  const next = (activity: string) => {
    over.throwIfAborted();
    stage.activity = activity;
  };

  next(
    process.env['DATABASE_URL'] ? 'Creating a database on the server of DATABASE_URL' : 'Starting PostgreSQL',
  );
  const database = await openDatabase(cast);
  releasers.add('PostgreSQL', () => database.close());

  next('Starting a miniature Cloud Foundry: UAA, log-cache, scaling engine');
  const platform = await startPlatform({ apps: cast.map(({ app }) => app) });
  releasers.add('platform', () => platform.stop());
  stage.platformRuns(platform);
  const config = await writeConfig(platform, database.url, releasers);
  const api = await openAppMetricsApi(config);

  next('Starting the eventgenerator');
  const eventgenerator = startEventgenerator(config.file, follower(cast, stage, api, over));
  releasers.add('eventgenerator', () => eventgenerator.stop());
  releasers.add('API client', () => api.close());
  return { platform, eventgenerator };
}

async function openDatabase(cast: readonly Part[]): Promise<PolicyDatabase> {
  try {
    return await openPolicyDatabase(cast.map(({ actor, policy }) => [actor.guid, policy]));
  } catch (cause) {
    if (!process.env['DATABASE_URL']) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `no database could be created on the server of DATABASE_URL: ${reason} (without DATABASE_URL the demo starts a PostgreSQL itself)`,
      { cause },
    );
  }
}

async function writeConfig(
  platform: Platform,
  policyDbUrl: string,
  releasers: Pick<Releasers, 'add'>,
): Promise<WrittenConfig> {
  const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-demo-'));
  releasers.add('temporary files', () => rm(folder, { recursive: true, force: true }));
  return writeEventgeneratorConfig(join(folder, 'eventgenerator.yml'), {
    platform,
    policyDbUrl,
    collectionIntervalSecs: 1,
    evaluationIntervalSecs: 1,
    policyPollerIntervalSecs: 5,
    saveIntervalSecs: 1,
    statWindowSecs: 60,
    // Every single decision is logged at this level.
    logLevel: 'debug',
  });
}

/** Takes evaluations from the log, and reads through the API the app metrics that they were made on. */
function follower(
  cast: readonly Part[],
  stage: Stage,
  api: AppMetricsApi,
  over: AbortSignal,
): (line: LogLine) => void {
  const actors = new Map(cast.map(({ actor }) => [actor.guid, actor]));
  const reading = new Set<string>();

  async function readNew(appId: string, metricType: string): Promise<void> {
    reading.add(appId);
    try {
      stage.measured(appId, await api.after(appId, metricType, stage.newestPointMs(appId)));
      stage.trouble = undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!over.aborted) stage.trouble = `The eventgenerator's API does not give the values: ${reason}`;
    } finally {
      reading.delete(appId);
    }
  }

  return (line) => {
    const found = evaluationIn(line);
    const actor = found && actors.get(found.appId);
    if (!actor) return;
    stage.evaluated(actor.guid, found.evaluation);
    if (!over.aborted && !reading.has(actor.guid)) void readNew(actor.guid, actor.metricType);
  };
}

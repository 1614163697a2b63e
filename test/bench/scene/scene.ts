import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  writeEventgeneratorConfig,
  type EventgeneratorConfigOptions,
  type WrittenConfig,
} from '../../platform/eventgenerator-config.js';
import type { TestDatabase } from '../../support/postgres.js';
import type { BenchmarkContext } from '../benchmark.js';
import { sharedPostgres, type BenchPostgres } from '../processes/bench-postgres.js';
import {
  startEventgeneratorProcess,
  type EventgeneratorProcess,
} from '../processes/eventgenerator-process.js';
import { startPreparedPlatform, type PreparedPlatform } from '../processes/prepared-platform-process.js';
import { startPeers } from '../../support/peers.js';

export interface SceneOptions {
  /** From a request to log-cache to its answer. */
  readonly delayMs: number;
  readonly config?: Omit<EventgeneratorConfigOptions, 'platform' | 'policyDbUrl'>;
  /** Fills the tables before the eventgenerator is started. */
  readonly prepare: (database: TestDatabase) => Promise<void>;
  /** What the eventgenerator's environment has besides this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where the eventgenerator finds the database of that URL; default: there. */
  readonly urlOf?: (url: string) => Promise<string>;
  /** Modules loaded into the eventgenerator before itself. */
  readonly imports?: readonly URL[];
  /** Members that only hold leases, besides the eventgenerator; for elastic ownership. Default 0. */
  readonly peers?: number;
}

/** One eventgenerator and all it works with. */
export interface Scene {
  readonly postgres: BenchPostgres;
  readonly database: TestDatabase;
  readonly platform: PreparedPlatform;
  readonly config: WrittenConfig;
  readonly eventgenerator: EventgeneratorProcess;
  /** Starts another one beside it; with elastic ownership both share the apps. */
  readonly startAnother: () => Promise<EventgeneratorProcess>;
}

/** Web instances of an ordinary app. */
export const instancesPerApp = 3;
export const collectionIntervalMs = 40_000;

/** As Cloud Foundry deployments ship it; 40 s, 300 points and 20 pollers are writeEventgeneratorConfig's own. */
const shipped = { evaluationIntervalSecs: 60, policyPollerIntervalSecs: 60, httpClientTimeoutSecs: 60 };

/** Sets the scene, plays it, and clears it away again, also after a failure. */
export async function withScene<T>(
  context: BenchmarkContext,
  options: SceneOptions,
  play: (scene: Scene) => Promise<T>,
): Promise<T> {
  const releases: (() => Promise<void>)[] = [];
  let released: Promise<void> | undefined;
  const release = () =>
    (released ??= (async () => {
      for (const each of releases.reverse()) await each();
    })());
  context.releaseAtEnd(release);
  try {
    const postgres = await sharedPostgres(context);
    const database = await postgres.createDatabase();
    releases.push(() => database.drop());
    await options.prepare(database);
    if (options.peers) {
      const peers = await startPeers(database.pool, options.peers);
      releases.push(() => peers.stop());
    }
    const platform = await startPreparedPlatform({ delayMs: options.delayMs, instances: instancesPerApp });
    releases.push(() => platform.stop());
    const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-bench-'));
    releases.push(() => rm(folder, { recursive: true, force: true }));
    const parts = { ...platform, issueCertificate: async () => platform.certificate };
    const policyDbUrl = (await options.urlOf?.(database.url)) ?? database.url;
    const start = async (file: string) => {
      const config = await writeEventgeneratorConfig(join(folder, file), {
        ...shipped,
        ...options.config,
        platform: parts,
        policyDbUrl,
      });
      const eventgenerator = startEventgeneratorProcess(config, options.imports, options.env);
      releases.push(() => eventgenerator.stop());
      return { config, eventgenerator };
    };
    const startAnother = async () => (await start('another.yml')).eventgenerator;
    const started = await start('eventgenerator.yml');
    return await play({ postgres, database, platform, ...started, startAnother });
  } finally {
    await release();
  }
}

import { startControlServer } from './control-server.js';
import { guidOf, hashText } from './deterministic.js';
import { writeEventgeneratorConfig, type WrittenConfig } from './eventgenerator-config.js';
import { helpText, parseCommand, UsageError, type PlatformCommand } from './options.js';
import { startPlatform, type Platform } from './platform.js';
import { openPolicyDatabase } from './policy-database.js';
import { tellStory, type Story } from './stories.js';

/*
 * `npm run platform`: the miniature platform as a process of its own.
 */

type Release = () => Promise<void>;

async function run(command: PlatformCommand, stopped: Promise<void>): Promise<void> {
  const releases: Release[] = [];
  try {
    const databaseUrl = await openDatabase(command, releases);
    const platform = await openPlatform(command, releases);
    const control = await startControlServer(platform, command.numbers['control-port']);
    releases.push(() => control.close());
    const config = await writeConfig(command, platform, databaseUrl, releases);
    printBooksEvery(command.numbers['print-books'] * 1000, platform, releases);
    print({
      event: 'ready',
      control: control.url,
      ...platform.urls,
      logCacheGrpc: platform.logCacheGrpc,
      apps: platform.apps.size,
      ...(config ? { config: config.file, ports: config.ports, certificates: config.certificates } : {}),
    });
    await stopped;
    print({ event: 'books', ...platform.books.toJSON() });
  } finally {
    // In reverse: PostgreSQL goes last, so that whoever writes to it can finish.
    for (const release of releases.reverse()) await release();
  }
}

async function openDatabase(command: PlatformCommand, releases: Release[]): Promise<string> {
  const database = await openPolicyDatabase(
    storiesOf(command).map(({ app, policy }) => [app.guid, policy] as const),
  );
  releases.push(() => database.close());
  return database.url;
}

async function openPlatform(command: PlatformCommand, releases: Release[]): Promise<Platform> {
  const { numbers } = command;
  const platform = await startPlatform({
    apps: storiesOf(command).map((story) => story.app),
    seed: numbers.seed,
    tokenLifetimeSecs: numbers['token-lifetime'],
    maxPerSource: numbers['max-per-source'],
    logCacheNodes: numbers['log-cache-nodes'],
    ports: {
      uaa: numbers['uaa-port'],
      logCache: numbers['log-cache-port'],
      logCacheGrpc: numbers['log-cache-grpc-port'],
      scalingEngine: numbers['scaling-engine-port'],
    },
  });
  releases.push(() => platform.stop());
  return platform;
}

function storiesOf({ numbers, stories, metrics }: PlatformCommand): Story[] {
  return Array.from({ length: numbers.apps }, (_, i) =>
    tellStory(stories[i % stories.length] ?? 'steady', {
      guid: guidOf(hashText(`app ${i}`, numbers.seed)),
      instances: numbers.instances,
      paceSecs: numbers.pace,
      tickSecs: numbers.tick,
      metrics,
      breachDurationSecs: numbers['breach-duration'],
      coolDownSecs: numbers['cool-down'],
      seed: numbers.seed,
    }),
  );
}

async function writeConfig(
  { configFile, keepFiles, transport, grant, numbers }: PlatformCommand,
  platform: Platform,
  databaseUrl: string,
  releases: Release[],
): Promise<WrittenConfig | undefined> {
  if (configFile === undefined) return undefined;
  const config = await writeEventgeneratorConfig(configFile, {
    platform,
    policyDbUrl: databaseUrl,
    ports: { api: numbers['api-port'], health: numbers['health-port'], cf: numbers['cf-port'] },
    collectionIntervalSecs: numbers['collection-interval'],
    evaluationIntervalSecs: numbers['evaluation-interval'],
    saveIntervalSecs: numbers['save-interval'],
    policyPollerIntervalSecs: numbers['policy-interval'],
    statWindowSecs: numbers['stat-window'],
    metricPollerCount: numbers['metric-pollers'],
    transport,
    grant,
  });
  if (!keepFiles) releases.push(() => config.remove());
  return config;
}

function printBooksEvery(intervalMs: number, platform: Platform, releases: Release[]): void {
  if (intervalMs === 0) return;
  const timer = setInterval(() => print({ event: 'books', ...platform.books.toJSON() }), intervalMs);
  releases.push(async () => clearInterval(timer));
}

function print(value: object): void {
  process.stdout.write(JSON.stringify(value) + '\n');
}

/** Ctrl-C reaches this process twice when npm passes the terminal's signal on. */
const sameSignalMs = 1000;

/**
 * Resolves at the first SIGINT or SIGTERM; a later one ends the process at once. Rejects at an error that nobody
 * caught, so that PostgreSQL, which has its own process group, does not outlive this process.
 */
function firstSignal(): Promise<void> {
  return new Promise((resolve, reject) => {
    let firstAtMs: number | undefined;
    const onSignal = () => {
      firstAtMs ??= performance.now();
      if (performance.now() - firstAtMs > sameSignalMs) process.exit(130);
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.on('uncaughtException', reject);
    // Whoever read the output may be gone.
    process.stdout.on('error', () => {});
  });
}

try {
  const command = parseCommand(process.argv.slice(2));
  if (command === 'help') {
    process.stdout.write(helpText());
  } else {
    await run(command, firstSignal());
    process.exitCode = 0;
  }
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`platform: ${message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
// Signal handlers and idle sockets must not keep a process alive that has released everything.
process.exit();

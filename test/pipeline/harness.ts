import type { Clock } from '../../src/util/clock.js';
import type { Config } from '../../src/config/config.js';
import { startEventgenerator, type Eventgenerator } from '../../src/eventgenerator.js';
import { promqlWindowSecs } from '../../src/log-cache/promql.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import type { AppOptions } from '../platform/app-model.js';
import { ask, type ClientAnswer } from '../platform/client.js';
import { startPlatform, type Platform, type PlatformOptions } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicy } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { hurriedClock } from '../support/hurried-clock.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger, type LogLine, type Recording } from '../support/recording-logger.js';
import { storedRows, trueRow, type StoredRow, type Windows } from './audit.js';
import { pipelineConfig, type Transport } from './config.js';

export interface PipelineOptions {
  readonly transport?: Transport;
  /** Apps on the platform; those with a policy are the eventgenerator's business. */
  readonly apps: readonly (AppOptions & { readonly policy?: unknown })[];
  readonly configure?: (config: Config) => Config;
  readonly platform?: Partial<Omit<PlatformOptions, 'apps' | 'clock'>>;
  /** Runs before the eventgenerator starts. */
  readonly prepare?: (pipeline: { readonly platform: Platform; readonly policyDb: TestDatabase }) => unknown;
  /** Where the tables are, if not on the server that all tests share. */
  readonly policyServerUrl?: string;
  readonly appMetricsServerUrl?: string;
  /** How much faster than in life time passes; default 10. */
  readonly speed?: number;
}

type Labels = Readonly<Record<string, string>>;
type MetricName = Exclude<keyof Metrics, 'registry' | 'collectionLagSeconds' | 'collectionDurationSeconds'>;

/** An eventgenerator with real threads, TLS and PostgreSQL in this process, and the platform that it works for. */
export interface Pipeline {
  readonly platform: Platform;
  readonly policyDb: TestDatabase;
  readonly appMetricsDb: TestDatabase;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly log: Recording;
  readonly clock: Clock;
  readonly addresses: ReturnType<Eventgenerator['addresses']>;
  setPolicy(appId: string, policy: unknown): Promise<void>;
  removePolicy(appId: string): Promise<void>;
  /** Resolves when the app has been evaluated so many times since the start. */
  evaluated(appId: string, times: number): Promise<void>;
  /** Resolves when the app has been evaluated so many times from now on. */
  evaluatedAgain(appId: string, times?: number): Promise<void>;
  /** Resolves when rows of the app were written that are newer than now. */
  freshRows(appId: string, count?: number): Promise<StoredRow[]>;
  rows(appId?: string): Promise<StoredRow[]>;
  /** A counter's or gauge's value; the sum of all that match where labels are left out. */
  value(metric: MetricName, labels?: Labels): Promise<number>;
  /** Resolves when the metric has at least this value. */
  reaches(metric: MetricName, value: number, labels?: Labels): Promise<void>;
  /** Lines above debug level, without those that every start writes. */
  told(): LogLine[];
  get(server: 'api' | 'cf' | 'health', path: string): Promise<ClientAnswer>;
  /** Stops everything. Idempotent. */
  stop(): Promise<void>;
  /** Stops the eventgenerator and holds what it stored against what was really so and what it collected. */
  audit(): Promise<Audit>;
}

export interface Audit {
  /** Rows that say something else than what was really so. */
  readonly falseRows: readonly { readonly stored: StoredRow; readonly expected: StoredRow }[];
  /** Outcomes of collections that are in no row. */
  readonly lost: number;
  readonly duplicated: number;
}

export const nothingWrong: Audit = { falseRows: [], lost: 0, duplicated: 0 };

const startUpEvents = new Set(['http.insecure-setting', 'database.connection-not-encrypted']);

const running: (() => Promise<void>)[] = [];

/** Stops all pipelines, also those that did not come up. */
export async function stopPipelines(): Promise<void> {
  await Promise.all(running.splice(0).map((stop) => stop()));
}

export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const clock = hurriedClock(options.speed ?? 10);
  const log = recordingLogger();
  const metrics = createMetrics();
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  running.push(stop);

  const platform = await startPlatform({ ...options.platform, clock, apps: options.apps });
  undo.push(() => platform.stop());
  const { policyDb, appMetricsDb } = await openDatabases(options, undo);
  await options.prepare?.({ platform, policyDb });

  const urls = { policyDb: policyDb.url, appMetricsDb: appMetricsDb.url };
  const standard = await pipelineConfig(platform, urls, options.transport ?? 'rest');
  const config = options.configure?.(standard) ?? standard;
  // No system authorities: hundreds of them would only make the test slow.
  const trust = { systemBundle: '/nowhere' };
  const eventgenerator = await startEventgenerator(config, { clock, logger: log.logger, metrics, trust });
  const stopEventgenerator = () => {
    // The deadlines of stopping are those for the last rows: a tenth of them would be too short on a busy machine.
    clock.stopHurrying();
    return eventgenerator.stop();
  };
  undo.push(stopEventgenerator);
  // A test begins when the policies are read, or cannot be.
  await Promise.race([eventgenerator.ready, log.until('policy.policies-not-readable')]);
  const client = await platform.issueCertificate('api-server');

  const evaluations = async (appId: string, times: number, fromLine: number) => {
    let seen = 0;
    const isLast = ({ data }: LogLine) => data['appId'] === appId && ++seen >= times;
    await log.until('evaluation.evaluated', isLast, fromLine);
  };
  const value = (metric: MetricName, labels: Labels = {}) => valueOf(metrics, metric, labels);

  return {
    platform,
    policyDb,
    appMetricsDb,
    config,
    metrics,
    log,
    clock,
    addresses: eventgenerator.addresses(),
    setPolicy: (appId, policy) => insertPolicy(policyDb.pool, appId, policy),
    async removePolicy(appId) {
      await policyDb.pool.query('delete from policy_json where app_id = $1', [appId]);
    },
    evaluated: (appId, times) => evaluations(appId, times, 0),
    evaluatedAgain: (appId, times = 1) => evaluations(appId, times, log.lines.length),
    freshRows(appId, count = 1) {
      const sinceNs = BigInt(clock.now()) * 1_000_000n;
      return eventually(`rows of ${appId}`, async () => {
        const fresh = await storedRows(appMetricsDb, { appId, sinceNs });
        return fresh.length >= count && fresh;
      });
    },
    rows: (appId) => storedRows(appMetricsDb, appId === undefined ? {} : { appId }),
    value,
    async reaches(metric, wanted, labels = {}) {
      await eventually(
        `${metric} ${JSON.stringify(labels)} of ${wanted}`,
        async () => (await value(metric, labels)) >= wanted,
      );
    },
    told: () => log.lines.filter(({ level, event }) => level !== 'debug' && !startUpEvents.has(event)),
    async get(server, path) {
      const port = eventgenerator.addresses()[server]?.port;
      return server === 'api'
        ? ask(`https://127.0.0.1:${port}${path}`, { ca: platform.ca, cert: client.chain, key: client.key })
        : askPlain(`http://127.0.0.1:${port}${path}`);
    },
    stop,
    async audit() {
      await stopEventgenerator();
      return auditRows(await storedRows(appMetricsDb), platform, config, metrics);
    },
  };
}

async function valueOf(metrics: Metrics, metric: MetricName, labels: Labels): Promise<number> {
  const { values } = await metrics[metric].get();
  return values
    .filter(({ labels: own }) =>
      Object.entries(labels).every(([name, text]) => (own as Labels)[name] === text),
    )
    .reduce((sum, sample) => sum + sample.value, 0);
}

/** Compares what was stored with what the platform knows to be true, and with what was collected. */
async function auditRows(
  stored: readonly StoredRow[],
  platform: Platform,
  config: Config,
  metrics: Metrics,
): Promise<Audit> {
  const windows: Windows = {
    statWindowSecs: config.defaultStatWindowSecs,
    httpWindowSecs: promqlWindowSecs(config.aggregator.collectionIntervalMs),
  };
  const distinct = new Set(stored.map((row) => `${row.appId} ${row.metricType} ${row.timestampNs}`)).size;
  const results = ['value', 'no_data', 'not_covered', 'no_http_timers'];
  const collected = await Promise.all(results.map((result) => valueOf(metrics, 'collections', { result })));
  return {
    falseRows: stored
      .map((row) => ({ stored: row, expected: trueRow(row, platform, windows) }))
      .filter(({ stored: said, expected }) => said.value !== expected.value || said.unit !== expected.unit),
    lost: collected.reduce((sum, count) => sum + count) - distinct,
    duplicated: stored.length - distinct,
  };
}

/** With the policies of all apps. */
async function openDatabases(options: PipelineOptions, undo: (() => Promise<void>)[]) {
  const policyDb = await tables(options.policyServerUrl, undo);
  const appMetricsDb =
    options.appMetricsServerUrl === options.policyServerUrl
      ? policyDb
      : await tables(options.appMetricsServerUrl, undo);
  for (const { guid, policy } of options.apps) {
    if (policy !== undefined) await insertPolicy(policyDb.pool, guid, policy);
  }
  return { policyDb, appMetricsDb };
}

async function tables(serverUrl: string | undefined, undo: (() => Promise<void>)[]): Promise<TestDatabase> {
  const database = await createDatabase(serverUrl ?? process.env['DATABASE_URL']);
  undo.push(() => database.drop());
  await createAutoscalerTables(database.pool);
  return database;
}

async function askPlain(url: string): Promise<ClientAnswer> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  const headers: Record<string, string> = {};
  response.headers.forEach((text, name) => (headers[name] = text));
  return { status: response.status, headers, body: await response.text() };
}

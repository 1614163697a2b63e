import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { compareCommand } from '../../src/cli/compare-command.js';
import type { AppOptions } from '../platform/app-model.js';
import { constantLoad, wave } from '../platform/load-script.js';
import { storedRows, type StoredRow } from './audit.js';
import { goRow } from './go-values.js';
import { startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when, type RuleJson } from './policies.js';

/*
 * What an observer finds out about apps whose app metrics the Go eventgenerator stores: where these differ, and why.
 */

const windowSecs = 20;
/** Eight in a window, as with the platform's usual 15 s and 120 s. */
const tickSecs = 2.5;
/** As long as the observer runs at least, in seconds of the platform. */
const observedSecs = 100;

interface ComparedApp extends AppOptions {
  readonly policy: object;
  readonly metricType: string;
}

function app(guid: string, rule: RuleJson, options: Omit<AppOptions, 'guid'>): ComparedApp {
  return { guid, tickSecs, policy: policyOf(rule), metricType: rule.metric_type, ...options };
}

const steady = constantLoad({ cpuPercent: 100 });
const scaleOut = when('cpu > 400', '+1');

const apps: readonly ComparedApp[] = [
  app('alike', scaleOut, { instances: 2, load: steady }),
  app('few', scaleOut, { instances: 4, load: wave({ cpuPercent: 100 }, { cpuPercent: 800 }, 60) }),
  app('large', scaleOut, { instances: 10, load: wave({ cpuPercent: 500 }, { cpuPercent: 3_000 }, 40) }),
  app('memory', when('memoryused > 400', '+1'), {
    instances: 9,
    load: wave({ memoryMiB: 0 }, { memoryMiB: 2_700 }, 40),
  }),
  app('worker', scaleOut, { instances: 2, load: steady }),
  app('rounding', when('memoryutil > 90', '+1'), {
    ...{ instances: 2, load: steady, noise: 0, idleMemoryMiB: 7, memoryQuotaMiB: 100 },
  }),
  app('gap', scaleOut, { instances: 2, load: steady }),
  // Go takes for 0 that log-cache knows of no request, nor of the app.
  app('silent', when('throughput < 0', '-1'), { load: steady, silent: true }),
];

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline({
    apps,
    configure: (config) => ({
      ...config,
      defaultStatWindowSecs: windowSecs,
      evaluator: { ...config.evaluator, mode: 'observe' },
    }),
  });
});
afterAll(stopPipelines);

/** A row as Go would have stored it, a little after each of the observer's; for a while none of the app `gap`. */
function goRows(observed: readonly StoredRow[]): StoredRow[] {
  const { logCache } = pipeline.platform;
  const firstNs = observed[0]?.timestampNs ?? 0n;
  return observed
    .filter(({ metricType }) => !metricType.startsWith('containers:'))
    .filter(({ appId, timestampNs }) => {
      const secs = (timestampNs - firstNs) / 1_000_000_000n;
      return appId !== 'gap' || secs < 30n || secs > 50n;
    })
    .map(({ appId, metricType, timestampNs }) => {
      const atNs = timestampNs + 700_000_000n;
      return metricType === 'throughput'
        ? { appId, metricType, timestampNs: atNs, value: '0', unit: 'rps' }
        : goRow(logCache, { appId, metricType }, atNs, windowSecs);
    });
}

async function store(rows: readonly StoredRow[]): Promise<void> {
  await pipeline.appMetricsDb.pool.query(
    `insert into app_metric (app_id, metric_type, unit, timestamp, value)
     select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])`,
    [
      rows.map((row) => row.appId),
      rows.map((row) => row.metricType),
      rows.map((row) => row.unit),
      rows.map((row) => row.timestampNs),
      rows.map((row) => row.value),
    ],
  );
}

interface App {
  readonly app_id?: string;
  readonly cause?: string | null;
  readonly summary?: { readonly apps: number; readonly alike: number };
}

/** What the command says, and its exit code. */
async function compared(): Promise<{ readonly code: number; readonly lines: App[] }> {
  const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const choice = { appId: null, sinceMs: 3_600_000, intervalMs: null, json: true };
  const code = await compareCommand(pipeline.config, { systemBundle: '/nowhere' }, choice, pipeline.clock);
  const text = written.mock.calls.map(([chunk]) => String(chunk)).join('');
  written.mockRestore();
  return {
    code,
    lines: text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as App),
  };
}

test('each difference to app metrics that were made the Go way is named with its cause', async () => {
  const { clock, log, platform } = pipeline;
  const startMs = clock.now();
  platform.apps
    .require('worker')
    .startContainer({ processType: 'worker', index: 0, processNumber: 1, cpuPercent: 0 }, startMs * 1000);
  await log.until(
    'evaluation.evaluated',
    ({ data }) => Number(data['atMs']) > startMs + observedSecs * 1_000,
  );
  await store(goRows(await storedRows(pipeline.appMetricsDb, { table: 'eventgenerator_observed' })));

  const { code, lines } = await compared();
  const found = Object.fromEntries(lines.flatMap(({ app_id, cause }) => (app_id ? [[app_id, cause]] : [])));
  expect(found).toEqual({
    alike: null,
    few: null,
    large: 'more-than-6-instances',
    memory: 'more-than-6-instances',
    worker: 'worker-process',
    rounding: 'percentage-rounding',
    gap: 'gap',
    silent: 'no-data-against-0',
  });
  expect(code).toBe(3);
  expect(lines.at(-1)?.summary).toMatchObject({ apps: 8, alike: 2 });
});

import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { basic, type ClientAnswer } from '../platform/client.js';
import { constantLoad } from '../platform/load-script.js';
import { eventually } from '../support/eventually.js';
import { storedRows, trueRow, type StoredRow } from './audit.js';
import { startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when } from './policies.js';
import { listenOnLoopback } from '../support/listen.js';

const busy = constantLoad({ cpuPercent: 1_000, requestsPerSecond: 100 });

/** What stands where the scaling engine should be: counts who connects, and ends the connection before a byte. */
let engine: Server;
let connections = 0;
let pipeline: Pipeline;
beforeAll(async () => {
  engine = createServer((socket) => {
    connections++;
    socket.on('error', () => {}).destroy();
  });
  await listenOnLoopback(engine);
  pipeline = await startPipeline({
    apps: [
      {
        guid: 'spike',
        tickSecs: 1,
        load: busy,
        policy: policyOf(when('cpu > 80', '+1', { cool_down_secs: 8 })),
      },
      {
        guid: 'requests',
        tickSecs: 1,
        load: busy,
        instances: 3,
        policy: policyOf(when('throughput < 500', '-50%', { cool_down_secs: 3_600 })),
      },
      {
        guid: 'full',
        tickSecs: 1,
        load: busy,
        instances: 2,
        policy: { ...policyOf(when('cpu > 80', '+1')), instance_max_count: 2 },
      },
    ],
    configure: (config) => ({
      ...config,
      evaluator: { ...config.evaluator, mode: 'observe' },
      scalingEngine: {
        ...config.scalingEngine,
        url: `https://127.0.0.1:${(engine.address() as AddressInfo).port}`,
      },
      health: { ...config.health, basicAuth: { username: { plain: 'op' }, password: { plain: 'secret' } } },
    }),
  });
});
afterAll(async () => {
  await stopPipelines();
  engine.close();
});

/** Without the numbers of containers. */
async function observed(appId: string, sinceNs = 0n): Promise<StoredRow[]> {
  return (await stored(appId, sinceNs)).filter(({ metricType }) => !metricType.startsWith('containers:'));
}

const stored = (appId: string, sinceNs = 0n) =>
  storedRows(pipeline.appMetricsDb, { appId, sinceNs, table: 'eventgenerator_observed' });

test('a spike would be scaled again after each cool-down, and nothing is scaled', async () => {
  let seen = 0;
  const lines = await pipeline.log.until(
    'evaluation.would-scale',
    ({ data }) => data['appId'] === 'spike' && ++seen === 3,
  );
  expect(lines.data).toMatchObject({
    observer: true,
    adjustment: '+1',
    instancesAdded: 1,
    coolDownUntil: expect.any(String),
  });
  expect(pipeline.log.lines.filter(({ event }) => event === 'evaluation.scaled')).toEqual([]);
});

test('instances of an app whose rules need no gauge are counted as well', async () => {
  const line = await pipeline.log.until('evaluation.would-scale', ({ data }) => data['appId'] === 'requests');
  // 3 instances less 50 % are 1.5, which rounds to 2.
  expect(line.data).toMatchObject({ adjustment: '-50%', instancesAdded: -1 });
});

test('an app at the maximum of its policy is asked for less and less often', async () => {
  await pipeline.log.until('evaluation.ignored', ({ data }) => data['appId'] === 'full');
  await pipeline.reaches('evaluations', 1, { outcome: 'at-limit-backoff' });
});

test('it stores how many containers an app has, once where that does not change', async () => {
  await pipeline.evaluatedAgain('full', 3);
  const counts = (await stored('full')).filter(({ metricType }) => metricType.startsWith('containers:'));
  expect(counts.map(({ metricType, value }) => [metricType, value])).toEqual([
    ['containers:others', '0'],
    ['containers:web', '2'],
  ]);
});

test('what it stores is true, and stands in a table of its own', async () => {
  const { config, clock, platform } = pipeline;
  const sinceNs = BigInt(clock.now()) * 1_000_000n;
  const rows = await eventually('rows', async () => {
    const fresh = await observed('spike', sinceNs);
    return fresh.length > 1 && fresh;
  });
  const windows = { statWindowSecs: config.defaultStatWindowSecs, httpWindowSecs: 2 };
  expect(rows).toEqual(rows.map((row) => trueRow(row, platform, windows)));
  expect(await pipeline.rows()).toEqual([]);
});

async function askJson(server: 'api' | 'health', path: string): Promise<unknown> {
  const answer: ClientAnswer = await pipeline.get(server, path);
  expect([path, answer.status]).toEqual([path, 200]);
  return JSON.parse(answer.body);
}

test('the history that it gives is what it observed, from memory and from its table', async () => {
  const path = '/v1/apps/spike/aggregated_metric_histories/cpu';
  const [first] = await observed('spike');
  const asTold = ({ timestampNs, ...row }: StoredRow) => ({ ...row, at: Number(timestampNs) });
  const told = async (query: string) =>
    (
      (await askJson('api', path + query)) as Record<
        'app_id' | 'name' | 'unit' | 'value' | 'timestamp',
        unknown
      >[]
    ).map((each) => ({
      appId: each.app_id,
      metricType: each.name,
      unit: each.unit,
      value: each.value,
      at: each.timestamp,
    }));
  expect(first).toBeDefined();
  expect((await told('?start=0&end=-1'))[0]).toEqual(first && asTold(first));
  const [newest] = (await observed('spike')).slice(-1);
  expect(await told(`?start=${newest?.timestampNs}&end=-1`)).toContainEqual(newest && asTold(newest));
});

test('explanation, members, readiness and pages say that it is an observer', async () => {
  expect(await askJson('api', '/v1/members')).toEqual({ mode: 'static', observer: true, members: [] });
  expect(await askJson('api', '/v1/apps/full/decision')).toMatchObject({
    observer: true,
    text: expect.stringContaining('This is an observer'),
  });
  expect(await askJson('health', '/health/readiness')).toMatchObject({ observer: true });
  const headers = { authorization: basic('op', 'secret') };
  for (const path of ['/health/apps', '/health/apps/full']) {
    const response = await fetch(`http://127.0.0.1:${pipeline.addresses.health?.port}${path}`, { headers });
    expect(await response.text()).toContain('This is an observer');
  }
});

test('every line says so, and nobody has ever connected to the scaling engine', async () => {
  await pipeline.stop();
  expect(pipeline.log.lines.filter(({ data }) => data['observer'] !== true)).toEqual([]);
  expect(pipeline.platform.books.triggersOf('spike')).toEqual([]);
  expect(connections).toBe(0);
});

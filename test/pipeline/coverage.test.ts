import { afterEach, expect, test } from '@jest/globals';
import type { AppOptions } from '../platform/app-model.js';
import { constantLoad } from '../platform/load-script.js';
import { transports } from './config.js';
import { startPipeline, stopPipelines, type Audit, type Pipeline, type PipelineOptions } from './harness.js';
import { policyOf, when } from './policies.js';

/** Long enough that a window can be held in part, and three times as long as the cycles that a breach needs. */
const intervalSecs = 10;
const load = constantLoad({ cpuPercent: 100, requestsPerSecond: 10 });
const scaleIn = when('throughput < 5', '-1', { breach_duration_secs: 15 });
const cpuRule = when('cpu > 1000', '+1');
/** Five requests a second for each instance, which a false value lets be scaled in. */
const app = (
  guid: string,
  more: Partial<AppOptions & { policy: unknown }> = {},
  ...rules: (typeof scaleIn)[]
) => ({
  guid,
  tickSecs: 2,
  instances: 2,
  load,
  policy: policyOf(scaleIn, ...rules),
  ...more,
});

afterEach(stopPipelines);

const start = (options: PipelineOptions) =>
  startPipeline({
    speed: 20,
    configure: (config) => ({
      ...config,
      aggregator: { ...config.aggregator, collectionIntervalMs: intervalSecs * 1_000 },
      evaluator: { ...config.evaluator, evaluationIntervalMs: intervalSecs * 1_000 },
    }),
    ...options,
  });

/** What was stored is true or *no data*, and scaled nobody. */
async function expectNoFalseValue(pipeline: Pipeline): Promise<void> {
  const { falseRows, ...others }: Audit = await pipeline.audit();
  expect(others).toEqual({ lost: 0, duplicated: 0 });
  expect(falseRows.filter(({ stored }) => stored.value !== '')).toEqual([]);
  expect(pipeline.platform.books.triggers.total).toBe(0);
}

async function valuesAgain(
  pipeline: Pipeline,
  appId: string,
  sinceNs: bigint,
  wanted = 'throughput',
): Promise<void> {
  for (;;) {
    const rows = await pipeline.freshRows(appId);
    const found = rows.some(
      ({ metricType, value, timestampNs }) => metricType === wanted && value !== '' && timestampNs > sinceNs,
    );
    if (found) return;
  }
}

test.each(transports)(
  'a restart of log-cache, read over %s, scales nobody in, and its windows are no data until they are held',
  async (transport) => {
    const apps = [app('web'), app('shop'), app('cpu-too', {}, cpuRule)];
    const pipeline = await start({ transport, apps });
    for (const { guid } of apps) await valuesAgain(pipeline, guid, 0n);
    const { logCacheRoute } = pipeline.platform;
    const result = transport === 'rest' ? 'server-error' : 'connection';
    // On a busy machine log-cache may hold whole windows before its gateway has found it again: then once more.
    while ((await pipeline.value('collections', { result: 'not_covered' })) === 0) {
      const failed = await pipeline.value('collections', { result });
      logCacheRoute.takeDown('logCache');
      await pipeline.reaches('collections', failed + 2 * apps.length, { result });
      logCacheRoute.bringUp('logCache');
      const upNs = BigInt(pipeline.clock.now()) * 1_000_000n;
      for (const { guid } of apps) await valuesAgain(pipeline, guid, upNs);
    }
    await pipeline.log.until('rounds.window-not-covered');
    for (const { guid } of apps) await pipeline.evaluatedAgain(guid, 2);
    await expectNoFalseValue(pipeline);
  },
);

test('of an app with more envelopes than log-cache keeps the rate is that of what it keeps', async () => {
  // 10 requests a second are 30 envelopes, and 13 of two containers every two seconds: 430 a window.
  const pipeline = await start({ apps: [app('busy')], platform: { maxPerSource: 360 } });
  await valuesAgain(pipeline, 'busy', 0n);
  await pipeline.evaluatedAgain('busy', 4);
  const rows = await pipeline.rows('busy');
  expect(rows.filter(({ value }) => value !== '').map(({ value }) => value)).toContain('5');
  expect(await pipeline.value('collections', { result: 'not_covered' })).toBeGreaterThan(0);
  await expectNoFalseValue(pipeline);
});

test.each(transports)(
  'gauges of an app with more envelopes than log-cache keeps, read over %s, are those of what it keeps',
  async (transport) => {
    // As above, 43 a second: log-cache keeps some 28 s of the 120 s.
    const busy = app('busy', { noise: 0, policy: policyOf(cpuRule) });
    const pipeline = await startPipeline({
      transport,
      speed: 20,
      apps: [busy],
      platform: { maxPerSource: 1_200 },
      configure: (config) => ({
        ...config,
        defaultStatWindowSecs: 120,
        aggregator: { ...config.aggregator, collectionIntervalMs: intervalSecs * 1_000 },
      }),
    });
    for (let i = 0; i < 3; i++) {
      const [newest] = (await pipeline.rows('busy')).slice(-1);
      await valuesAgain(pipeline, 'busy', newest?.timestampNs ?? 0n, 'cpu');
    }
    // Only a second cycle can tell what is evicted from what was lost.
    expect((await pipeline.rows('busy'))[0]?.value).toBe('');
    await expectNoFalseValue(pipeline);
  },
);

test('a dead node of log-cache is said, and its apps come back without a false value', async () => {
  const apps = Array.from({ length: 8 }, (_, i) => app(`app-${i}`));
  const pipeline = await start({ apps, platform: { logCacheNodes: 2 } });
  const { logCacheNodes: nodes } = pipeline.platform;
  for (const { guid } of apps) await valuesAgain(pipeline, guid, 0n);
  const number = nodes.numberOf('app-0');
  const dead = apps.filter(({ guid }) => nodes.numberOf(guid) === number);
  nodes.takeDown(number);
  const line = await pipeline.log.until('collection.apps-lost-their-values');
  expect(line).toMatchObject({ level: 'error', data: { apps: 8, withoutValues: dead.length } });
  expect(await pipeline.value('appsWithoutValues')).toBe(dead.length);
  nodes.bringUp(number);
  await pipeline.log.until('collection.values-are-back');
  for (const { guid } of apps) await pipeline.evaluatedAgain(guid);
  await expectNoFalseValue(pipeline);
});

test('a node of log-cache that is dead already when a process starts is said, too', async () => {
  // So long that the histories reach back to before the start.
  const policy = policyOf(when('throughput < 5', '-1', { breach_duration_secs: 3600 }));
  const apps = Array.from({ length: 8 }, (_, i) => app(`app-${i}`, { policy }));
  const appIds = apps.map(({ guid }) => guid);
  const pipeline = await start({
    apps,
    platform: { logCacheNodes: 2 },
    async prepare({ platform: { logCacheNodes: nodes }, policyDb: { pool } }) {
      nodes.takeDown(nodes.numberOf('app-0'));
      await pool.query(
        `insert into app_metric (app_id, metric_type, unit, timestamp, value)
         select unnest($1::text[]), 'throughput', 'rps', ((extract(epoch from now()) - 60) * 1e9)::bigint, '5'`,
        [appIds],
      );
    },
  });
  const { logCacheNodes: nodes } = pipeline.platform;
  const dead = appIds.filter((guid) => nodes.numberOf(guid) === nodes.numberOf('app-0'));
  const line = await pipeline.log.until('collection.apps-lost-their-values');
  expect(line).toMatchObject({ level: 'error', data: { apps: 8, withoutValues: dead.length } });
  nodes.bringUp(nodes.numberOf('app-0'));
  await pipeline.log.until('collection.values-are-back');
});

test('http timers that stop for all apps at once are no data everywhere, and an error', async () => {
  const apps = [app('a'), app('b'), app('c', {}, cpuRule), app('idle', { load: constantLoad({}) })].map(
    (one) =>
      one.guid === 'idle' ? { ...one, policy: policyOf(cpuRule, when('throughput > 99', '+1')) } : one,
  );
  const pipeline = await start({ apps });
  for (const { guid } of apps) await valuesAgain(pipeline, guid, 0n);
  const fault = pipeline.platform.faults.set({
    server: 'logCache',
    operation: 'query',
    fault: { kind: 'empty' },
  });
  const line = await pipeline.log.until('collection.http-timers-missing');
  expect(line.level).toBe('error');
  const missingNs = BigInt(pipeline.clock.now()) * 1_000_000n;
  for (const { guid } of apps) await pipeline.evaluatedAgain(guid, 3);
  expect(await pipeline.value('httpTimersMissing')).toBe(1);
  expect(JSON.parse((await pipeline.get('health', '/health/readiness')).body)).toMatchObject({
    overall_status: 'DOWN',
    checks: expect.arrayContaining([{ name: 'http_timers', type: 'log-cache', status: 'DOWN' }]),
  });
  const later = (await pipeline.rows()).filter(
    ({ metricType, timestampNs }) => metricType === 'throughput' && timestampNs > missingNs,
  );
  expect(new Set(later.map(({ value }) => value))).toEqual(new Set(['']));
  fault.lift();
  await pipeline.log.until('collection.http-timers-seen-again');
  for (const { guid } of apps) await valuesAgain(pipeline, guid, missingNs);
  expect(pipeline.log.lines.filter(({ event }) => event === 'collection.http-timers-missing')).toHaveLength(
    1,
  );
  await expectNoFalseValue(pipeline);
});

test('a process that starts without http timers, before it can read its histories, takes nobody for idle', async () => {
  // So long that the histories reach back to before the start.
  const policy = policyOf(when('throughput < 5', '-1', { breach_duration_secs: 3600 }));
  const apps = ['a', 'b', 'c'].map((guid) => app(guid, { policy }));
  const appIds = apps.map(({ guid }) => guid);
  let unlock = async () => {};
  const pipeline = await start({
    apps,
    async prepare({ platform, policyDb: { pool } }) {
      const fault = { kind: 'empty' } as const;
      platform.faults.set({ server: 'logCache', operation: 'query', fault });
      await pool.query(
        `insert into app_metric (app_id, metric_type, unit, timestamp, value)
         select unnest($1::text[]), 'throughput', 'rps', ((extract(epoch from now()) - 5) * 1e9)::bigint, '10'`,
        [appIds],
      );
      const client = await pool.connect();
      await client.query('begin; lock table app_metric in access exclusive mode');
      unlock = async () => {
        await client.query('rollback');
        client.release();
      };
    },
  });
  const startNs = BigInt(pipeline.clock.now()) * 1_000_000n;
  try {
    await pipeline.reaches('collections', 2 * apps.length);
  } finally {
    await unlock();
  }
  await pipeline.log.until('warm-up.done');
  await pipeline.log.until('collection.http-timers-missing');
  for (const appId of appIds) await pipeline.evaluatedAgain(appId, 3);
  const later = (await pipeline.rows()).filter(({ timestampNs }) => timestampNs > startNs);
  expect(later.length).toBeGreaterThan(0);
  expect(new Set(later.map(({ value }) => value))).toEqual(new Set(['']));
});

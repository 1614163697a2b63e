import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';
import { nothingWrong, startPipeline, stopPipelines } from './harness.js';
import { policyOf, when } from './policies.js';

/**
 * At this speed an outage of a minute is three seconds. It shows the same as a long one, because everything that waits
 * or gives up on our side does so by the injected clock; only the driver and PostgreSQL live in real time, and both
 * are asked on new connections afterwards.
 */
const speed = 20;
/** Collections of an app in a minute. */
const aMinuteOfRounds = 30;

let server: PostgresServer;
beforeAll(async () => {
  // What was committed must survive the crash, or rows would be missed that were written.
  server = await startPostgres({ settings: { synchronous_commit: 'on' } });
}, 180_000);
afterEach(stopPipelines);
afterAll(() => server.stop());

const shopRules = [when('cpu > 80', '+1'), when('throughput > 50', '+1')];
const apps = [
  {
    guid: 'shop',
    tickSecs: 1,
    instances: 2,
    load: constantLoad({ cpuPercent: 100, requestsPerSecond: 60 }),
    policy: policyOf(...shopRules),
  },
  {
    guid: 'spike',
    tickSecs: 1,
    load: constantLoad({ cpuPercent: 1_000 }),
    policy: policyOf(when('cpu > 80', '+1', { cool_down_secs: 20 })),
  },
];

test('appmetrics_db down for a minute: scaling goes on, and every app metric is written afterwards', async () => {
  const pipeline = await startPipeline({ apps, speed, appMetricsServerUrl: server.url });
  const { books } = pipeline.platform;
  await pipeline.freshRows('shop', 2);
  const rowsBefore = await pipeline.value('rowsWritten');
  await server.crash();
  try {
    await pipeline.evaluatedAgain('shop', aMinuteOfRounds);
    expect(await pipeline.value('rowsWritten')).toBeLessThanOrEqual(rowsBefore + 4);
    expect(await pipeline.value('writerBuffered')).toBeGreaterThanOrEqual(3 * (aMinuteOfRounds - 4));
    const scaledBefore = books.triggers.scaledOut;
    await books.until(({ triggers }) => triggers.scaledOut > scaledBefore);

    const path = '/v1/apps/shop/aggregated_metric_histories/cpu';
    const recent = BigInt(pipeline.clock.now() - 10_000) * 1_000_000n;
    expect(await pipeline.get('api', `${path}?start=${recent}`)).toMatchObject({ status: 200 });
    expect(await pipeline.get('api', `${path}?start=0`)).toMatchObject({
      status: 500,
      body: '{"code":"Internal-Server-Error","message":"Error getting aggregated metric histories"}',
    });
  } finally {
    await server.start();
  }
  await pipeline.log.until('app-metric-writer.rows-written-again');
  await pipeline.freshRows('shop', 2);
  expect(await pipeline.value('rowsLost')).toBe(0);

  const told = pipeline.told().filter(({ event }) => event.startsWith('app-metric-writer.'));
  expect(told.map(({ level, event }) => [level, event])).toEqual([
    ['error', 'app-metric-writer.rows-not-written'],
    ['info', 'app-metric-writer.rows-written-again'],
  ]);
  // Also not twice what the crash interrupted, although it may have been committed.
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('policy_db down for a minute: the last good policies stay in force, and changes are seen afterwards', async () => {
  const pipeline = await startPipeline({ apps, speed, policyServerUrl: server.url });
  const { books } = pipeline.platform;
  await pipeline.freshRows('shop', 2);
  await server.crash();
  try {
    await pipeline.log.until('policy.policies-not-readable');
    const scaledBefore = books.triggers.scaledOut;
    await pipeline.evaluatedAgain('shop', aMinuteOfRounds);
    expect(books.triggers.scaledOut).toBeGreaterThan(scaledBefore);
    expect(await pipeline.value('policies')).toBe(2);
    expect(await pipeline.value('policyPolls', { result: 'failure' })).toBeGreaterThanOrEqual(3);
    await pipeline.reaches('policiesAgeSeconds', 50);
  } finally {
    await server.start();
  }
  await pipeline.setPolicy('shop', policyOf(...shopRules, when('memoryutil > 99', '+1')));
  await pipeline.log.until('policy.policies-readable-again');
  // The first poll that succeeds may have read the old policy.
  await eventually('rows of the new policy', async () =>
    (await pipeline.rows('shop')).some(({ metricType }) => metricType === 'memoryutil'),
  );
  expect(await pipeline.value('policiesAgeSeconds')).toBeLessThan(50);

  const errors = pipeline.told().filter(({ level }) => level === 'error');
  expect(errors).toEqual([
    expect.objectContaining({ event: 'policy.policies-not-readable', data: { policiesInForce: 2 } }),
  ]);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('neither database is there at the start: both are used as soon as they are', async () => {
  const serverUrl = server.url;
  let isBack: Promise<void> | undefined;
  const pipeline = await startPipeline({
    apps,
    speed,
    policyServerUrl: serverUrl,
    appMetricsServerUrl: serverUrl,
    prepare: () => server.crash(),
  });
  try {
    expect(await pipeline.get('health', '/health/liveness')).toMatchObject({ status: 200 });
    expect(await pipeline.value('policies')).toBe(0);
  } finally {
    isBack = server.start();
  }
  await isBack;
  await pipeline.freshRows('shop', 2);
  const errors = pipeline.told().filter(({ level }) => level === 'error');
  // Whether the tables of decisions are looked for before the databases are there depends on the moment.
  const always = errors
    .map(({ event }) => event)
    .filter((event) => event !== 'decisions.decisions-not-written');
  expect(always).toEqual(['policy.policies-not-readable']);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('a policy that is no JSON at all, where the column is text, costs its own app only', async () => {
  const pipeline = await startPipeline({
    apps,
    speed,
    async prepare({ policyDb }) {
      await policyDb.pool.query('alter table policy_json alter column policy_json type text');
      await policyDb.pool.query(`insert into policy_json values ('no-json', '{"scaling_rules": [', 'guid')`);
    },
  });
  await pipeline.freshRows('shop', 2);
  await pipeline.reaches('policyPolls', 3, { result: 'success' });
  expect(pipeline.log.lines.filter(({ event }) => event === 'policy.policy-broken')).toEqual([
    {
      level: 'error',
      event: 'policy.policy-broken',
      message: 'the policy cannot be used: it is no JSON',
      data: { appId: 'no-json' },
    },
  ]);
  expect(await pipeline.value('policiesBroken')).toBe(1);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Gauge } from 'prom-client';
import type { Config } from '../../src/config/config.js';
import { startEventgenerator, type Eventgenerator } from '../../src/eventgenerator.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicy } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { freePort } from '../support/free-port.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger } from '../support/recording-logger.js';
import { pipelineConfig } from './config.js';
import { policyOf, when } from './policies.js';

/** Moves only where a test moves it, so that no deadline ends what these tests look at. */
let clock: ManualClock;
let platform: Platform;
let database: TestDatabase;
let config: Config;
let healthPort: number;

beforeEach(async () => {
  clock = new ManualClock(Date.now());
  platform = await startPlatform({
    clock,
    apps: [{ guid: 'shop', load: constantLoad({ cpuPercent: 50 }) }],
  });
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicy(database.pool, 'shop', policyOf(when('cpu > 80', '+1')));
  const standard = await pipelineConfig(
    platform,
    { policyDb: database.url, appMetricsDb: database.url },
    'rest',
  );
  healthPort = await freePort();
  config = { ...standard, healthServer: { port: healthPort, tls: { key: null, cert: null, ca: null } } };
});
afterEach(async () => {
  await platform.stop();
  await database.drop();
});

function start(metrics = createMetrics()) {
  const { logger } = recordingLogger();
  const trust = { systemBundle: '/nowhere' };
  return startEventgenerator(config, { clock, logger, metrics, trust });
}

/** Time goes on until then, hardly faster than in life: what took a busy machine too long is tried again after a pause. */
async function becomesReady({ ready }: Eventgenerator): Promise<void> {
  let isReady = false;
  void ready.then(() => (isReady = true));
  await eventually('readiness', async () => {
    await clock.advance(20);
    return isReady;
  });
}

async function valueOf(gauge: Gauge): Promise<number> {
  return (await gauge.get()).values[0]?.value ?? 0;
}

async function statusOf(path: string): Promise<number | undefined> {
  const headers = { connection: 'close' };
  return fetch(`http://127.0.0.1:${healthPort}/health/${path}`, { headers }).then(
    ({ status }) => status,
    () => undefined,
  );
}

test('it lives, but is not ready, until the policies are read', async () => {
  const client = await database.pool.connect();
  await client.query('begin; lock table policy_json in access exclusive mode');
  const eventgenerator = await start();
  try {
    expect(await statusOf('liveness')).toBe(200);
    await eventually('the read to wait for the lock', async () => {
      await clock.advance(20);
      const { rowCount } = await database.pool
        .query(`select 1 from pg_locks join pg_database on pg_database.oid = database
         where datname = current_database() and not granted`);
      return rowCount === 1;
    });
    // Time is no substitute for policies. It ends no deadline of what waits for the database.
    await clock.advance(4_000);
    expect(await statusOf('readiness')).toBe(503);
  } finally {
    await client.query('rollback');
    client.release();
  }
  await becomesReady(eventgenerator);
  expect(await statusOf('readiness')).toBe(200);
  await eventgenerator.stop();
  expect(await statusOf('liveness')).toBeUndefined();
});

test('it lives, but is not ready, while it finishes what it has begun before it stops', async () => {
  const fault = platform.faults.set({ server: 'logCache', fault: { kind: 'hang' } });
  const eventgenerator = await start();
  await becomesReady(eventgenerator);
  await clock.advance(config.aggregator.collectionIntervalMs);
  await eventually('a collection', () =>
    platform.faults.list().some((rule) => rule.id === fault.id && rule.hits > 0),
  );
  const stopped = eventgenerator.stop();
  expect(await statusOf('readiness')).toBe(503);
  expect(await statusOf('liveness')).toBe(200);
  fault.lift();
  await stopped;
  expect(await statusOf('liveness')).toBeUndefined();
  const { rowCount } = await database.pool.query('select 1 from app_metric');
  expect(rowCount).toBe(1);
});

test('a member has written what it collected before others learn that it leaves', async () => {
  config = {
    ...config,
    pool: { mode: 'elastic', static: null },
    aggregator: { ...config.aggregator, saveIntervalMs: 3_600_000 },
  };
  const metrics = createMetrics();
  const eventgenerator = await start(metrics);
  await becomesReady(eventgenerator);
  // In steps: the lease has deadlines shorter than the interval.
  await eventually('a row to be written', async () => {
    await clock.advance(100);
    return (await valueOf(metrics.writerBuffered)) > 0;
  });
  const stopped = eventgenerator.stop();
  await eventually('the member to leave', async () => {
    const { rows } = await database.pool.query('select 1 from eventgenerator_member where leaves_at is null');
    return rows.length === 0;
  });
  const { rowCount } = await database.pool.query('select 1 from app_metric');
  let isOver = false;
  void stopped.then(() => (isOver = true));
  await eventually('the end', async () => {
    await clock.advance(1_000);
    return isOver;
  });
  expect(rowCount).toBe(1);
});

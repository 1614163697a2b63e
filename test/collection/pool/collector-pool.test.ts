import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createAppCollector } from '../../../src/collection/plan/collect-app.js';
import { createAuthorizedCollector } from '../../../src/collection/plan/authorized-collector.js';
import {
  type CollectorPool,
  type CollectorPoolOptions,
  createCollectorPool,
  threadsFor,
} from '../../../src/collection/pool/collector-pool.js';
import type { Authorized, CollectorWorkerData, ReadJob } from '../../../src/collection/pool/job.js';
import { systemClock } from '../../../src/util/clock.js';
import { silentLogger } from '../../support/silent-logger.js';
import { restHandler, serveGrpc, serveHttps } from '../../log-cache/servers.js';
import { appId, gauge, SimulatedStore } from '../../log-cache/simulated-log-cache.js';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificates.js';
import { trusting } from '../trusting.js';
import { ManualClock } from '../../support/manual-clock.js';
import { wholeCycle } from '../whole-cycle.js';

/* Through real threads, on the compiled files. */

const second = 1_000_000_000n;
const end = 1_755_700_000n * second;
const timeouts = { readTimeoutMs: 15_000, queryTimeoutMs: 15_000 };
const unusable: CollectorWorkerData = {
  logCache: { transport: 'rest', url: 'https://127.0.0.1:1', ca: [], skipSslValidation: false },
  ...timeouts,
};
const readJob: ReadJob & Authorized = {
  kind: 'read',
  appId,
  startNs: end - 120n * second,
  endNs: end,
  gaugeTypes: ['cpu'],
  presenceSinceNs: end - 40n * second,
  settled: null,
  authorization: 'bearer t',
};

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

function open(options: Partial<CollectorPoolOptions>): CollectorPool {
  const pool = createCollectorPool({
    workerData: unusable,
    clock: systemClock,
    logger: silentLogger,
    threads: 1,
    mostJobs: 100,
    ...options,
  });
  releases.push(() => pool.close());
  return pool;
}

describe('a whole cycle', () => {
  let authority: CertificateAuthority;
  beforeAll(async () => {
    authority = await createCertificateAuthority();
  });

  async function overRest(store: SimulatedStore): Promise<CollectorWorkerData['logCache']> {
    const server = await serveHttps(authority, restHandler(store));
    releases.push(() => server.close());
    return { transport: 'rest', url: server.url, ca: [authority.cert], skipSslValidation: false };
  }

  async function overGrpc(store: SimulatedStore): Promise<CollectorWorkerData['logCache']> {
    const server = await serveGrpc(authority, store);
    releases.push(() => server.close());
    const { key, cert } = await authority.issue({ commonName: 'eventgenerator' });
    return { transport: 'grpc', address: server.address, ca: [authority.cert], key, cert };
  }

  test.each([
    ['REST', overRest],
    ['gRPC', overGrpc],
  ])('over %s through the threads', async (_name, serve) => {
    const store = new SimulatedStore();
    for (let i = 1n; i <= 1500n; i++) {
      store.add(
        gauge(end - i * 1_000n, 'memory', 50, { instanceId: String(i % 3n) }),
        gauge(end - i * 1_000n, 'memory_quota', 100, { instanceId: String(i % 3n) }),
      );
    }
    store.vector = [{ labels: { source_id: appId, instance_id: '0' }, value: 12.5 }];
    const pool = open({ workerData: { logCache: await serve(store), ...timeouts }, threads: 2 });
    const collector = createAuthorizedCollector(pool, null);
    const parts = { collector, queries: { isUp: () => true } };
    const { outcomes, cost } = await wholeCycle(
      createAppCollector(parts, systemClock, trusting(systemClock)).collect({
        appId,
        metricTypes: ['memoryutil', 'throughput', 'responsetime', 'queue'],
        endNs: end,
        statWindowSecs: 120,
        httpWindowSecs: 40,
      }),
    );
    expect(Object.fromEntries(outcomes)).toEqual({
      memoryutil: { kind: 'value', value: 50n, unit: '%' },
      queue: { kind: 'no-data' },
      throughput: { kind: 'value', value: 13n, unit: 'rps' },
      responsetime: { kind: 'value', value: 13n, unit: 'ms' },
    });
    // Of its first cycle, in which it also looks which is the oldest envelope.
    expect(cost).toMatchObject({ requests: 7, pages: 5, envelopes: 3001, droppedSamples: 0 });
    expect(cost.bytes).toBeGreaterThan(100_000);
    expect(pool.utilization()).toBeGreaterThan(0);
    expect(pool.utilization()).toBeLessThanOrEqual(1);
  });
});

test('a log-cache that cannot be reached is a connection failure', async () => {
  expect(await open({}).run(readJob)).toMatchObject({
    kind: 'failed',
    failure: 'connection',
    cost: { requests: 1, pages: 0 },
  });
});

test('certificates that cannot be used fail every job with their reason', async () => {
  const logCache = {
    transport: 'grpc',
    address: 'x:1',
    ca: ['no PEM'],
    key: 'no key',
    cert: 'no cert',
  } as const;
  const result = await open({ workerData: { logCache, ...timeouts } }).run(readJob);
  expect(result).toMatchObject({ failure: 'connection', message: expect.stringContaining('cannot be used') });
});

describe('an unruly thread', () => {
  const workerFile = new URL('./unruly-worker.js', import.meta.url);
  const job = (what: string): ReadJob & Authorized => ({ ...readJob, appId: what });
  const threadFailure = (message: RegExp) => ({
    kind: 'failed',
    failure: 'thread',
    message: expect.stringMatching(message),
    cost: { requests: 0 },
  });
  const wellDone = { message: 'well done' };

  test.each([
    ['crash', /uncaught in the thread/],
    ['exit', /exited with code: 3/],
  ])('that ends (%s) fails its jobs, and the pool goes on', async (what, message) => {
    const pool = open({ workerFile });
    const others = [pool.run(job('silent')), pool.run(job('silent'))];
    expect(await pool.run(job(what))).toMatchObject(threadFailure(message));
    for (const other of others) expect(await other).toMatchObject(threadFailure(message));
    expect(await pool.run(job('fine'))).toMatchObject(wellDone);
  });

  test.each(['stuck', 'silent'])(
    'that does not answer (%s) is ended by the watchdog, and the pool goes on',
    async (what) => {
      const clock = new ManualClock();
      const pool = open({ workerFile, clock, jobTimeoutMs: 90_000 });
      const failed = pool.run(job(what));
      await clock.advance(89_999);
      const queued = pool.run(job('fine'));
      await clock.advance(1);
      expect(await failed).toMatchObject(threadFailure(/within 90000 ms/));
      // With one thread the second job shares the fate of the first if it had already reached the thread.
      await queued;
      expect(await pool.run(job('fine'))).toMatchObject(wellDone);
      expect(clock.pendingTimers).toBe(0);
    },
  );

  test('a job that waited for its turn has the full time of the watchdog', async () => {
    const clock = new ManualClock();
    const pool = open({ workerFile, clock, jobTimeoutMs: 90_000 });
    const first = Array.from({ length: 100 }, () => pool.run(job('silent')));
    const waited = pool.run(job('fine'));
    await clock.advance(90_000);
    await Promise.all(first);
    expect(await waited).toMatchObject(wellDone);
  });

  test.each([
    [100, 'shares the first thread', 100],
    [101, 'gets a second thread', 0],
  ])('after %i jobs the next %s', async (jobs, _place, jobsThatShareItsFate) => {
    const pool = open({ workerFile, threads: 2, mostJobs: 200 });
    let failures = 0;
    for (let i = 0; i < jobs; i++) void pool.run(job('silent')).then(() => failures++);
    expect(await pool.run(job('exit'))).toMatchObject(threadFailure(/exited/));
    expect(failures).toBe(jobsThatShareItsFate);
  });

  test('many jobs run at once in one thread, the rest waits its turn', async () => {
    const pool = open({ workerFile });
    for (let i = 0; i < 99; i++) void pool.run(job('silent'));
    expect(await pool.run(job('fine'))).toMatchObject(wellDone);
    void pool.run(job('silent'));
    const waiting = pool.run(job('fine'));
    expect(pool.queueSize).toBe(1);
    await pool.close();
    expect(await waiting).toMatchObject(threadFailure(/./));
  });
});

test('as many jobs run as are allowed, on however few threads; more wait', async () => {
  const pool = open({
    workerFile: new URL('./unruly-worker.js', import.meta.url),
    threads: 1,
    mostJobs: 250,
  });
  const silent = Array.from({ length: 250 }, () => pool.run({ ...readJob, appId: 'silent' }));
  expect(pool.queueSize).toBe(0);
  const waiting = pool.run(readJob);
  expect(pool.queueSize).toBe(1);
  await pool.close();
  expect(await Promise.all([...silent, waiting])).toHaveLength(251);
});

test('closing is quick, fails what runs and refuses what comes', async () => {
  const pool = open({ workerFile: new URL('./unruly-worker.js', import.meta.url) });
  const running = pool.run({ ...readJob, appId: 'silent' });
  await Promise.all([pool.close(), pool.close()]);
  expect(await running).toMatchObject({ kind: 'failed', failure: 'thread' });
  expect(await pool.run(readJob)).toMatchObject({ kind: 'failed', failure: 'thread', message: /closed/ });
});

test.each([
  [400, 1, 1],
  [400, 2, 2],
  [400, 64, 2],
  [401, 64, 3],
  [1000, 4, 4],
  [1, 1, 1],
])('%i jobs at once on %i processors take %i threads', (jobs, processors, threads) => {
  expect(threadsFor(jobs, processors)).toBe(threads);
});

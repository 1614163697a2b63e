import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Socket } from 'node:net';
import {
  type CollectorPool,
  type CollectorPoolOptions,
  createCollectorPool,
} from '../../../src/collection/pool/collector-pool.js';
import type { Authorized, CollectorWorkerData, ReadJob } from '../../../src/collection/pool/job.js';
import { systemClock } from '../../../src/util/clock.js';
import { until } from '../../eventgenerator/scene.js';
import { type RestServer, serveHttps } from '../../log-cache/servers.js';
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificates.js';
import { silentLogger } from '../../support/silent-logger.js';

/* Through real threads. That a thread has ended shows in its connections. */

const job = (appId: string): ReadJob & Authorized => ({
  kind: 'read',
  appId,
  startNs: 0n,
  endNs: 1n,
  gaugeTypes: ['cpu'],
  presenceSinceNs: 0n,
  settled: null,
  authorization: null,
});
const done = { kind: 'read', outcomes: { cpu: { kind: 'no-data' } } };
const unruly = { workerFile: new URL('./unruly-worker.js', import.meta.url) };

let authority: CertificateAuthority;
beforeAll(async () => {
  authority = await createCertificateAuthority();
});
const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

/** A log-cache whose responses wait until they are told to come. */
async function serve() {
  const answers: (() => void)[] = [];
  const server = await serveHttps(authority, (_request, response) =>
    answers.push(() => response.end('{"envelopes":{"batch":[]}}')),
  );
  releases.push(() => server.close());
  return { server, answers };
}

function settings({ url }: Pick<RestServer, 'url'>): CollectorWorkerData {
  const logCache = { transport: 'rest', url, ca: [authority.cert], skipSslValidation: false } as const;
  return { logCache, readTimeoutMs: 120_000, queryTimeoutMs: 120_000 };
}

const nowhere = () => settings({ url: 'https://127.0.0.1:1' });

function open(options: Partial<CollectorPoolOptions>): CollectorPool {
  const usual = {
    workerData: nowhere(),
    clock: systemClock,
    logger: silentLogger,
    threads: 1,
    mostJobs: 100,
  };
  const pool = createCollectorPool({ ...usual, ...options });
  releases.push(() => pool.close());
  return pool;
}

/** A thread that is ended resets its connections. */
function endOf(socket: Socket | undefined): Promise<unknown> {
  return new Promise((resolve) => socket?.once('close', resolve));
}

/** A pool that runs a job, which ends when the server answers. `ended`: when its thread has ended. */
async function withOneJob() {
  const { server, answers } = await serve();
  const pool = open({ workerData: settings(server) });
  const running = pool.run(job('a'));
  await until(() => answers.length === 1);
  return { server, answers, pool, running, ended: endOf(server.requests[0]?.socket) };
}

test('new jobs go to the new threads, and the old ones end when their last job has ended', async () => {
  const [first, second] = [await serve(), await serve()];
  const pool = open({ workerData: settings(first.server) });
  const early = [pool.run(job('a')), pool.run(job('b'))];
  await until(() => first.answers.length === 2);
  pool.replace(settings(second.server));
  const late = pool.run(job('c'));
  await until(() => second.answers.length === 1);
  expect([first.answers.length, second.answers.length]).toEqual([2, 1]);

  const sockets = first.server.requests.map(({ socket }) => socket);
  const ended = Promise.all(sockets.map((socket) => endOf(socket)));
  first.answers[0]?.();
  expect(await Promise.race(early)).toMatchObject(done);
  expect(sockets.map(({ closed }) => closed)).toEqual([false, false]);
  first.answers[1]?.();
  for (const result of await Promise.all(early)) expect(result).toMatchObject(done);
  await ended;
  expect(second.server.requests[0]?.socket.closed).toBe(false);
  second.answers[0]?.();
  expect(await late).toMatchObject(done);
});

test('threads without a job end at once', async () => {
  const { pool, answers, running, ended } = await withOneJob();
  answers[0]?.();
  expect(await running).toMatchObject(done);
  pool.replace(nowhere());
  await ended;
});

test('tells how busy the threads of now are, and what waits for any', async () => {
  const pool = open({ ...unruly, mostJobs: 2 });
  expect(await pool.run(job('fine'))).toMatchObject({ message: 'well done' });
  const early = pool.run(job('silent'));
  pool.replace(nowhere());
  const late = pool.run(job('stuck'));
  const waiting = pool.run(job('fine'));
  expect(pool.queueSize).toBe(1);
  // The old thread, which does nothing, would make it a half.
  await until(() => pool.utilization() > 0.9);
  await pool.close();
  const closed = { kind: 'failed', failure: 'thread', message: 'the collector pool is closed' };
  expect(await Promise.all([early, late, waiting])).toMatchObject([closed, closed, closed]);
});

test('closing ends all threads, also those that come later', async () => {
  const { server, pool, running, ended } = await withOneJob();
  pool.replace(nowhere());
  await pool.close();
  await ended;
  expect(await running).toMatchObject({ failure: 'thread', message: 'the collector pool is closed' });
  pool.replace(settings(server));
  expect(await pool.run(job('b'))).toMatchObject({
    failure: 'thread',
    message: 'the collector pool is closed',
  });
  expect(server.requests).toHaveLength(1);
});

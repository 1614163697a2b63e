import { beforeEach, expect, test } from '@jest/globals';
import type { CollectorPool } from '../../../src/collection/pool/collector-pool.js';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { Authorized, CollectionResult, ReadJob } from '../../../src/collection/pool/job.js';
import { createRenewablePool } from '../../../src/collection/pool/renewable-pool.js';

const job: ReadJob & Authorized = {
  kind: 'read',
  appId: 'an-app',
  startNs: 0n,
  endNs: 1n,
  gaugeTypes: [],
  presenceSinceNs: 0n,
  settled: null,
  authorization: null,
};

/** A pool whose jobs end when they are told to, and fail when it is closed before. */
class FakePool implements CollectorPool {
  readonly jobs: ((message: string) => void)[] = [];
  queueSize = 0;
  closed = false;

  constructor(private readonly share: number) {}

  run(): Promise<CollectionResult> {
    return new Promise((resolve) =>
      this.jobs.push((message) => resolve({ kind: 'failed', failure: 'timeout', message, cost: noCost() })),
    );
  }

  utilization(): number {
    return this.share;
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const end of this.jobs) end('closed');
  }
}

let first: FakePool;
let second: FakePool;
beforeEach(() => {
  first = new FakePool(0.1);
  second = new FakePool(0.2);
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('new jobs go to the new threads, and the old ones end when their last job has ended', async () => {
  const pool = createRenewablePool(first);
  const early = [pool.run(job), pool.run(job)];
  pool.replace(second);
  const late = pool.run(job);
  expect([first.jobs.length, second.jobs.length]).toEqual([2, 1]);

  first.jobs[0]?.('done');
  expect(await early[0]).toMatchObject({ message: 'done' });
  await settled();
  expect(first.closed).toBe(false);
  first.jobs[1]?.('done');
  expect(await early[1]).toMatchObject({ message: 'done' });
  await settled();
  expect([first.closed, second.closed]).toEqual([true, false]);
  second.jobs[0]?.('done');
  expect(await late).toMatchObject({ message: 'done' });
});

test('threads without a job end at once', async () => {
  createRenewablePool(first).replace(second);
  await settled();
  expect([first.closed, second.closed]).toEqual([true, false]);
});

test('tells how busy the threads of now are, and what waits for any', async () => {
  const pool = createRenewablePool(first);
  expect(pool.utilization()).toBe(0.1);
  void pool.run(job);
  first.queueSize = 3;
  second.queueSize = 4;
  pool.replace(second);
  expect([pool.utilization(), pool.queueSize]).toEqual([0.2, 7]);
  first.jobs[0]?.('done');
  await settled();
  expect(pool.queueSize).toBe(4);
});

test('closing ends all threads, also those that come later', async () => {
  const pool = createRenewablePool(first);
  const running = pool.run(job);
  pool.replace(second);
  await pool.close();
  expect(await running).toMatchObject({ message: 'closed' });
  expect([first.closed, second.closed]).toEqual([true, true]);
  const third = new FakePool(0);
  pool.replace(third);
  expect(third.closed).toBe(true);
});

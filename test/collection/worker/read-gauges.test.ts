import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { Authorized, CollectionCost, ReadJob } from '../../../src/collection/pool/job.js';
import { readGauges } from '../../../src/collection/worker/read-gauges.js';
import { runJob } from '../../../src/collection/worker/run-job.js';
import { type GaugeEnvelope, type LogCache, LogCacheError } from '../../../src/log-cache/log-cache.js';
import { appId, gauge, logCacheOf, SimulatedStore, webTags } from '../../log-cache/simulated-log-cache.js';
import { ManualClock } from '../../support/manual-clock.js';
import { referenceOutcome } from '../aggregation-reference.js';

const second = 1_000_000_000n;
const end = 1_755_700_000n * second;
const start = end - 120n * second;

const job: ReadJob & Authorized = {
  kind: 'read',
  appId,
  startNs: start,
  endNs: end,
  gaugeTypes: ['cpu'],
  presenceSinceNs: end - 40n * second,
  settled: null,
  authorization: 'bearer t',
};

let store: SimulatedStore;
let clock: ManualClock;
let cost: CollectionCost;
beforeEach(() => {
  store = new SimulatedStore();
  clock = new ManualClock();
  cost = noCost();
});

const run = (over: Partial<ReadJob> = {}, logCache: Pick<LogCache, 'read'> = logCacheOf(store)) =>
  readGauges({ ...job, ...over }, { logCache, clock, cost });

/** Eight ticks of five gauges with one timestamp for each instance, as Diego and the syslog ingress deliver them. */
function containerMetrics(instances: number): GaugeEnvelope[] {
  const envelopes: GaugeEnvelope[] = [];
  for (let instance = 0; instance < instances; instance++) {
    for (let tick = 0n; tick < 8n; tick++) {
      // Cells tick at different times, all containers of a cell at the same.
      const time = start + tick * 15n * second + BigInt(instance % 7) * 1_000_000n;
      const more = { instanceId: String(instance) };
      envelopes.push(
        gauge(time, 'cpu', (instance * 7 + Number(tick)) % 100, more),
        gauge(time, 'memory', 1e8 + instance * 1e5 + Number(tick), more),
        gauge(time, 'memory_quota', 5e8, more),
        gauge(time, 'disk', 1e8, more),
        gauge(time, 'disk_quota', 1e9, more),
        gauge(time + 5_000n, 'cpu_entitlement', NaN, more),
      );
    }
  }
  return envelopes;
}

describe('paging', () => {
  test('an app of 120 instances is aggregated over all envelopes of its window', async () => {
    const envelopes = containerMetrics(120);
    store.add(...envelopes);
    const result = await run({ gaugeTypes: ['cpu', 'memoryutil'] });
    expect(result.outcomes).toEqual({
      cpu: referenceOutcome('cpu', envelopes),
      memoryutil: referenceOutcome('memoryutil', envelopes),
    });
    expect(cost).toMatchObject({ requests: 3, pages: 3, envelopes: 120 * 8 * 3, droppedSamples: 0 });
  });

  test('asks for exactly the gauges that the rules need', async () => {
    await run({ gaugeTypes: ['cpu', 'memoryutil', 'memoryused', 'jobs'] });
    expect(store.reads).toMatchObject([
      {
        sourceId: appId,
        startNs: start,
        endNs: end,
        limit: 1000,
        nameFilter: '^(cpu|memory|memory_quota|jobs)$',
      },
    ]);
  });

  test('groups of one timestamp at the border of a page are neither lost nor doubled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 12 }), async (groups) => {
        const simulated = new SimulatedStore();
        groups.forEach((size, i) => {
          for (let n = 0; n < size; n++) {
            simulated.add(gauge(start + BigInt(i) * 1_000n, 'jobs', n, { instanceId: String(n), unit: '' }));
          }
        });
        const read = { requests: 0, pages: 0, envelopes: 0, bytes: 0, droppedSamples: 0 };
        const tools = { logCache: logCacheOf(simulated), clock, cost: read };
        await readGauges({ ...job, gaugeTypes: ['jobs'] }, tools);
        expect(read.envelopes).toBe(groups.reduce((sum, size) => sum + size, 0));
      }),
      { numRuns: 30 },
    );
  });

  test('a page of exactly the limit may have a successor, which may be empty', async () => {
    store.add(...Array.from({ length: 1000 }, (_, i) => gauge(start + BigInt(i + 1), 'cpu', 1)));
    await run();
    expect(store.reads.map(({ endNs }) => endNs)).toEqual([end, start + 1n]);
    expect(cost.envelopes).toBe(1000);
  });

  test('paging ends when it has reached the start of the window', async () => {
    store.add(...Array.from({ length: 1200 }, (_, i) => gauge(start, 'cpu', i % 5)));
    expect((await run()).outcomes['cpu']).toMatchObject({ kind: 'value', value: 2n });
    expect(store.reads).toHaveLength(1);
  });
});

describe('a window that cannot be completed is a failure, never a part of a value', () => {
  const page = (size: number, time: (i: number) => bigint) =>
    Array.from({ length: size }, (_, i) => gauge(time(i), 'cpu', 1));
  const serving = (read: (endNs: bigint) => GaugeEnvelope[]): Pick<LogCache, 'read'> => ({
    read: async ({ endNs }, take) => take({ envelopes: read(endNs), bytes: 10 }),
  });

  test('a server that repeats the same page', async () => {
    const same = page(1000, (i) => end - 1n - BigInt(i));
    await expect(
      run(
        {},
        serving(() => same),
      ),
    ).rejects.toMatchObject({ kind: 'bad-answer' });
  });

  test('a server that sends what lies before the window', async () => {
    await expect(
      run(
        {},
        serving(() => [gauge(start - 1n, 'cpu', 1)]),
      ),
    ).rejects.toMatchObject({
      kind: 'bad-answer',
    });
  });

  test('a server that ignores the order', async () => {
    const oldestFirst = serving(() => page(1000, (i) => start + BigInt(i)));
    await expect(run({}, oldestFirst)).rejects.toMatchObject({ kind: 'bad-answer', message: /newest first/ });
  });

  test('a server with ever more pages', async () => {
    const endless = serving((endNs) => page(1000, () => endNs - 1n));
    await expect(run({}, endless)).rejects.toMatchObject({ kind: 'bad-answer', message: /200 pages/ });
    expect(cost.pages).toBe(200);
  });

  test('a server that needs a minute', async () => {
    const slow: Pick<LogCache, 'read'> = {
      read: async ({ endNs }, take) => {
        await clock.advance(4_000);
        return take({ envelopes: page(1000, () => endNs - 1n), bytes: 10 });
      },
    };
    await expect(run({}, slow)).rejects.toMatchObject({ kind: 'timeout' });
    expect(cost.pages).toBe(16);
  });

  test('a failure on a later page fails the job and still has its cost', async () => {
    const logCache: LogCache = {
      ...logCacheOf(store),
      read: async ({ endNs }, take) => {
        if (endNs !== end) throw new LogCacheError('server-error', 'log-cache answered 500');
        return take({ envelopes: page(1000, () => end - 1n), bytes: 10 });
      },
    };
    expect(await runJob(job, logCache, clock)).toEqual({
      kind: 'failed',
      failure: 'server-error',
      message: 'log-cache answered 500',
      cost: { requests: 2, pages: 1, envelopes: 1000, bytes: 10, droppedSamples: 0 },
    });
  });
});

describe('what a read tells about presence', () => {
  const seen = async (over: Partial<ReadJob>) => (await run(over)).containerMetricSeen;

  test('a container metric since the asked time is a proof, an older one is not', async () => {
    store.add(gauge(job.presenceSinceNs - 1n, 'cpu', 1));
    expect(await seen({})).toBe(false);
    store.add(gauge(job.presenceSinceNs, 'cpu', 1));
    expect(await seen({})).toBe(true);
  });

  test('a task or a worker process proves nothing', async () => {
    store.add(gauge(end - 1n, 'cpu', 1, { tags: { ...webTags('0'), process_type: 'worker' } }));
    expect(await seen({})).toBe(false);
  });

  test('custom metrics cannot tell', async () => {
    store.add(gauge(end - 1n, 'jobs', 1));
    expect(await seen({ gaugeTypes: ['jobs'] })).toBeNull();
  });

  test('cpu_entitlement, which operators may switch off, can prove presence but not absence', async () => {
    expect(await seen({ gaugeTypes: ['cpuutil'] })).toBeNull();
    store.add(gauge(end - 1n, 'cpu_entitlement', NaN));
    expect(await seen({ gaugeTypes: ['cpuutil'] })).toBe(true);
  });

  test('a probe reads no further than it must', async () => {
    store.add(...containerMetrics(120));
    const result = await run({ gaugeTypes: [], presenceSinceNs: start });
    expect(result).toEqual({
      kind: 'read',
      outcomes: {},
      fromNs: start,
      oldestNs: expect.any(BigInt),
      containerMetricSeen: true,
      containers: null,
      settled: null,
    });
    expect(store.reads).toMatchObject([{ nameFilter: '^(cpu)$', limit: 100 }]);
  });

  test('a probe goes on past the newest ticks if they do not count', async () => {
    const tags = { origin: 'rep' };
    store.add(...Array.from({ length: 250 }, (_, i) => gauge(end - 1n - BigInt(i), 'cpu', 1, { tags })));
    expect(await seen({ gaugeTypes: [] })).toBe(false);
    store.add(gauge(job.presenceSinceNs, 'cpu', 1));
    expect(await seen({ gaugeTypes: [] })).toBe(true);
  });
});

test('samples that were dropped are part of the cost', async () => {
  store.add(gauge(end - 1n, 'cpu', NaN), gauge(end - 2n, 'cpu', 4));
  expect(await runJob(job, logCacheOf(store), clock)).toMatchObject({
    outcomes: { cpu: { value: 4n } },
    cost: { droppedSamples: 1 },
  });
});

test('a fault of our own is a failure of its job', async () => {
  const broken = { ...logCacheOf(store), read: () => Promise.reject(new TypeError('x is undefined')) };
  expect(await runJob(job, broken, clock)).toMatchObject({
    kind: 'failed',
    failure: 'thread',
    message: /x is undefined/,
  });
});

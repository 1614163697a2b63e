import { expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import type { AppOptions } from './app-model.js';
import { Apps } from './apps.js';
import type { StoredEnvelope } from './envelope.js';
import { constantLoad } from './load-script.js';
import { LogCacheStore, ReadRefused, type ReadParameters } from './log-cache-store.js';
import { Truth } from './truth.js';

const load = constantLoad({ requestsPerSecond: 30, cpuPercent: 240, memoryMiB: 600 });

function store(...options: Partial<AppOptions>[]) {
  const clock = new ManualClock();
  const context = { originUs: clock.now() * 1000, seed: 7, retentionUs: 7200e6 };
  const apps = new Apps(context, clock);
  for (const each of options) apps.add({ guid: 'shop', load, ...each });
  const logCache = new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 0 });
  const read = (parameters: Partial<ReadParameters> = {}): StoredEnvelope[] =>
    logCache.read({
      sourceId: 'shop',
      startNs: BigInt(clock.now() - 120_000) * 1_000_000n,
      endNs: BigInt(clock.now()) * 1_000_000n,
      limit: 1000,
      types: ['GAUGE'],
      descending: true,
      nameFilter: '',
      ...parameters,
    });
  const windowUs = [(clock.now() - 120_000) * 1000, clock.now() * 1000] as const;
  return {
    clock,
    apps,
    app: apps.require('shop'),
    logCache,
    read,
    windowUs,
    truth: new Truth(apps, logCache),
  };
}

function nameOf(envelope: StoredEnvelope): string {
  return envelope.body.type === 'GAUGE' ? Object.keys(envelope.body.metrics).join() : envelope.body.type;
}

function valueOf(envelope: StoredEnvelope, name: string): number | undefined {
  return envelope.body.type === 'GAUGE' ? envelope.body.metrics[name]?.value : undefined;
}

function timesOf(envelopes: readonly StoredEnvelope[]): number[] {
  return envelopes.map((envelope) => envelope.timestampUs);
}

test('every gauge metric has an envelope of its own, and those of one original share a timestamp', () => {
  const { read } = store({ instances: 1 });
  const envelopes = read();
  expect(envelopes).toHaveLength(8 * 11);
  expect(new Set(timesOf(envelopes)).size).toBe(8 * 3);
  expect(new Set(envelopes.map(nameOf))).toContain('memory_quota');
});

test('the window starts inclusive and ends exclusive', () => {
  const { read } = store({ instances: 1 });
  const times = timesOf(read({ nameFilter: '^cpu$', descending: false }));
  const [first, second] = times;
  const between = read({
    nameFilter: '^cpu$',
    startNs: BigInt(first ?? 0) * 1000n,
    endNs: BigInt(second ?? 0) * 1000n,
  });
  expect(timesOf(between)).toEqual([first]);
});

test('an unanchored filter also returns metrics that contain the name', () => {
  const { read } = store({ instances: 1 });
  expect(new Set(read({ nameFilter: 'cpu' }).map(nameOf))).toEqual(new Set(['cpu', 'cpu_entitlement']));
  expect(new Set(read({ nameFilter: '^(memory|memory_quota)$' }).map(nameOf))).toEqual(
    new Set(['memory', 'memory_quota']),
  );
});

test('a filter drops the other metrics of an envelope with several', () => {
  const { clock, logCache, read } = store({ instances: 0 });
  logCache.inject({
    timestampUs: clock.now() * 1000 - 5,
    sourceId: 'shop',
    instanceId: '0',
    tags: {},
    body: { type: 'GAUGE', metrics: { jobs: { unit: '', value: 1 }, jobs_failed: { unit: '', value: 2 } } },
  });
  expect(read({ nameFilter: '^jobs$' }).map((envelope) => envelope.body)).toEqual([
    { type: 'GAUGE', metrics: { jobs: { unit: '', value: 1 } } },
  ]);
});

test.each([
  ['a limit above 1000', { limit: 1001 }],
  ['a negative limit', { limit: -1 }],
  ['a start after the end', { startNs: 2n, endNs: 1n }],
  ['a broken filter', { nameFilter: '(' }],
  ['a look-ahead, which RE2 does not know', { nameFilter: '(?=cpu)' }],
])('%s is refused', (_what, parameters) => {
  const { read } = store({});
  expect(() => read(parameters)).toThrow(ReadRefused);
});

test('without a limit a page holds about 100 envelopes, the oldest unless asked otherwise', () => {
  const { read } = store({ instances: 50 });
  const page = read({ limit: 0, descending: false });
  expect(page.length).toBeGreaterThanOrEqual(100);
  expect(page.length).toBeLessThan(110);
  expect(timesOf(page)).toEqual(timesOf(page).toSorted((a, b) => a - b));
});

test('pages newest first, each ending before the last one began, hold every sample of 120 instances once', () => {
  const { read, truth, windowUs } = store({ instances: 120 });
  for (const limit of [7, 100, 1000]) {
    const pages: StoredEnvelope[][] = [];
    let endNs = BigInt(windowUs[1]) * 1000n;
    for (;;) {
      const page = read({ limit, endNs, nameFilter: 'memory|cpu' });
      if (page.length === 0) break;
      pages.push(page);
      endNs = BigInt(Math.min(...timesOf(page))) * 1000n;
    }
    expect(pages.slice(0, -1).every((page) => page.length >= limit)).toBe(true);
    expect(pages.some((page) => page.length > limit)).toBe(true);
    const seen = pages.flat().filter((envelope) => nameOf(envelope) === 'memory_quota');
    expect(seen).toHaveLength(truth.samples('shop', 'memory_quota', ...windowUs).length);
    expect(new Set(seen.map((envelope) => `${envelope.instanceId}/${envelope.timestampUs}`)).size).toBe(
      seen.length,
    );
  }
});

test('pages oldest first overshoot into a group, and going on after the last timestamp loses its rest', () => {
  const { read, windowUs } = store({ instances: 120 });
  let startNs = BigInt(windowUs[0]) * 1000n;
  let seen = 0;
  for (;;) {
    const page = read({ limit: 100, startNs, descending: false, nameFilter: 'memory|cpu' });
    if (page.length === 0) break;
    seen += page.length;
    startNs = BigInt(Math.max(...timesOf(page))) * 1000n + 1n;
  }
  const stored = 120 * 8 * 4;
  expect(seen).toBeLessThan(0.99 * stored);
  expect(seen).toBeGreaterThan(0.9 * stored);
});

test('more instances share the same load, from the moment of scaling on', () => {
  const { clock, app, truth, windowUs } = store({ instances: 2, noise: 0 });
  const before = truth.samples('shop', 'cpu', ...windowUs);
  expect(new Set(before.map((sample) => sample.value))).toEqual(new Set([120]));
  app.scaleTo(4, clock.now() * 1000);
  expect(truth.samples('shop', 'cpu', ...windowUs)).toEqual(before);
});

test('the first tick of a new container has a cpu of 0, the next ones its share', async () => {
  const { clock, app, truth } = store({ instances: 2, noise: 0 });
  const startUs = clock.now() * 1000;
  app.scaleTo(3, startUs);
  await clock.advance(60_000);
  const samples = truth.samples('shop', 'cpu', startUs, clock.now() * 1000);
  const added = samples.filter((sample) => sample.instanceId === '2').map((sample) => sample.value);
  expect(added).toEqual([0, 80, 80, 80]);
  app.scaleTo(1, clock.now() * 1000);
  await clock.advance(30_000);
  const after = truth.samples('shop', 'cpu', clock.now() * 1000 - 30_000e3, clock.now() * 1000);
  expect(after.map((sample) => [sample.instanceId, sample.value])).toEqual([
    ['0', 240],
    ['0', 240],
  ]);
});

test('tasks and workers appear under the same source, recognisable by their tags, and are no true samples', async () => {
  const { clock, app, read, truth } = store({ instances: 1 });
  const startUs = clock.now() * 1000;
  app.startContainer({ processType: 'task' }, startUs);
  app.startContainer({ processType: 'worker', index: 4 }, startUs);
  await clock.advance(60_000);
  const others = read({
    startNs: BigInt(startUs) * 1000n,
    endNs: 0n,
    nameFilter: '^memory$',
  }).filter((envelope) => envelope.tags['process_type'] !== 'web');
  expect(others.map((envelope) => [envelope.instanceId, envelope.tags['process_type']])).toEqual(
    expect.arrayContaining([
      ['0', undefined],
      ['4', 'worker'],
    ]),
  );
  expect(others.every((envelope) => envelope.tags['origin'] === 'rep')).toBe(true);
  expect(truth.samples('shop', 'memory', startUs, clock.now() * 1000)).toHaveLength(4);
});

test('a rolling deployment has two containers with one index, told apart by their process instance', async () => {
  const { clock, app, read } = store({ instances: 1 });
  app.startContainer({ processType: 'web', index: 0 }, clock.now() * 1000);
  expect(app.instances).toBe(2);
  await clock.advance(60_000);
  const envelopes = read({ endNs: 0n, nameFilter: '^cpu$' });
  expect(new Set(envelopes.map((envelope) => envelope.instanceId))).toEqual(new Set(['0']));
  expect(new Set(envelopes.map((envelope) => envelope.tags['process_instance_id'])).size).toBe(2);
});

test('custom metrics carry no tags and share their total', () => {
  const jobs = { name: 'jobs', unit: 'jobs', intervalSecs: 60, total: () => 30 };
  const { read } = store({ instances: 3, customMetrics: [jobs] });
  const envelopes = read({ nameFilter: 'jobs' });
  expect(envelopes).toHaveLength(6);
  expect(envelopes.map((envelope) => [envelope.tags, valueOf(envelope, 'jobs')])).toEqual(
    envelopes.map(() => [{}, 10]),
  );
});

test('an app that log-cache knows nothing of has no envelopes, and neither has the future', () => {
  const { clock, app, read } = store({ instances: 1 });
  const future = { endNs: BigInt(clock.now() + 60_000) * 1_000_000n };
  expect(Math.max(...timesOf(read(future)))).toBeLessThan(clock.now() * 1000);
  app.silent = true;
  expect(read()).toEqual([]);
  expect(read({ sourceId: 'unknown' })).toEqual([]);
});

test('timers come one per request and peer, and their number is what the books say', () => {
  const { clock, read, truth } = store({ instances: 3 });
  const endUs = Math.floor(clock.now() / 1000) * 1e6;
  const timers = read({
    types: ['TIMER'],
    startNs: BigInt(endUs - 5e6) * 1000n,
    endNs: BigInt(endUs) * 1000n,
  });
  expect(timers).toHaveLength(2 * 5 * 30);
  const counted = truth.requests('shop', endUs - 5e6, endUs).reduce((sum, { count }) => sum + count, 0);
  expect(timers.filter((timer) => timer.tags['peer_type'] === 'Client')).toHaveLength(counted);
  const server = timers.filter((timer) => timer.tags['peer_type'] === 'Server');
  expect(new Set(server.map((timer) => timer.instanceId))).toEqual(new Set(['0']));
  expect(new Set(server.map((timer) => timer.tags['instance_id']))).toEqual(new Set(['0', '1', '2']));
});

test('envelopes of a slow cell and of a slow metric appear late, all others at once', () => {
  const clock = new ManualClock();
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 7, retentionUs: 7200e6 }, clock);
  const jobs = { name: 'jobs', unit: 'jobs', intervalSecs: 5, total: () => 1 };
  apps.add({ guid: 'shop', load, instances: 2, tickSecs: 5, customMetrics: [jobs] });
  const logCache = new LogCacheStore(apps, clock, {
    retentionMs: 7_200_000,
    ingestLagMs: 0,
    lateMs: ({ name, instanceId, cellId }) => {
      expect(cellId === null).toBe(name === 'jobs');
      return name === 'jobs' ? 45_000 : instanceId === '1' ? 30_000 : 0;
    },
  });
  const newestAgeSecs = (name: string, instance: string) => {
    const wanted = { types: null, nameFilter: (candidate: string) => candidate === name };
    const nowUs = clock.now() * 1000;
    const newest = logCache
      .envelopes('shop', wanted, nowUs - 120e6, nowUs)
      .findLast(({ instanceId }) => instanceId === instance);
    return (nowUs - (newest?.timestampUs ?? 0)) / 1e6;
  };
  const within = (age: number, lateSecs: number) => age > lateSecs && age <= lateSecs + 5.1;
  expect(within(newestAgeSecs('cpu', '0'), 0)).toBe(true);
  expect(within(newestAgeSecs('cpu', '1'), 30)).toBe(true);
  expect(within(newestAgeSecs('jobs', '0'), 45)).toBe(true);
});

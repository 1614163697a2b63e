import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import type { AppOptions } from './app-model.js';
import { Apps } from './apps.js';
import { adminAuthorization, ask } from './client.js';
import { constantLoad } from './load-script.js';
import { LogCacheNodes } from './log-cache-nodes.js';
import { LogCacheRoute } from './log-cache-route.js';
import { LogCacheStore } from './log-cache-store.js';
import { startPlatform, type Platform } from './platform.js';

const load = constantLoad({ requestsPerSecond: 20, cpuPercent: 100 });

function world(app: Partial<AppOptions>, maxPerSource = 100_000, nodeCount = 1) {
  const clock = new ManualClock();
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 7, retentionUs: 7200e6 }, clock);
  apps.add({ guid: 'shop', load, noise: 0, ...app });
  const nodes = new LogCacheNodes(clock, nodeCount);
  const store = new LogCacheStore(apps, clock, {
    retentionMs: 7_200_000,
    ingestLagMs: 0,
    maxPerSource,
    nodes,
  });
  const nowNs = () => BigInt(clock.now()) * 1_000_000n;
  const read = { sourceId: 'shop', startNs: 0n, limit: 1, types: [], nameFilter: '' };
  const oldest = (sourceId = 'shop') => {
    const [first] = store.read({ ...read, sourceId, endNs: nowNs(), descending: false });
    return first && (clock.now() - first.timestampUs / 1000) / 1000;
  };
  const requests = (secs: number) => {
    const query = `sum by (source_id) (count_over_time(http{source_id="shop",peer_type="Client"}[${secs}s]))`;
    const { result } = store.instantQuery(query, String(Math.floor(clock.now() / 1000)));
    return result.type === 'vector' ? (result.samples[0]?.value ?? 0) : NaN;
  };
  return { clock, nodes, store, oldest, requests };
}

describe('log-cache keeps so many envelopes of a source', () => {
  test('by default all of the last ten minutes of 20 requests a second', () => {
    const { oldest, requests } = world({});
    expect(oldest()).toBeCloseTo(600, 0);
    expect(requests(40)).toBe(800);
  });

  test('two timers and a line of log for each request, so that a bound of 1560 leaves 26 s of them', () => {
    const { oldest, requests } = world({}, 1560);
    expect(oldest()).toBeGreaterThan(25);
    expect(oldest()).toBeLessThan(26);
    expect(requests(40)).toBeGreaterThan(500);
    expect(requests(40)).toBeLessThan(530);
    expect(requests(20)).toBe(400);
  });

  test("the app's own lines push out its metrics", () => {
    expect(world({ logLinesPerSecond: 10_000 }).oldest()).toBeCloseTo(10, 0);
  });

  test('what a test puts in counts too', () => {
    const { clock, oldest, store } = world({}, 1560);
    const before = oldest() ?? NaN;
    for (let i = 0; i < 600; i++) {
      const body = { type: 'LOG', payload: 'x' } as const;
      store.inject({
        timestampUs: clock.now() * 1000 - 1,
        sourceId: 'shop',
        instanceId: '0',
        tags: {},
        body,
      });
    }
    expect(oldest()).toBeCloseTo(before - 10, 0);
  });
});

test('a restart empties every node, and windows fill again', async () => {
  const { clock, nodes, oldest, requests } = world({});
  nodes.restart();
  expect(oldest()).toBeUndefined();
  await clock.advance(10_000);
  expect(oldest()).toBeCloseTo(10, 0);
  expect(requests(40)).toBeGreaterThan(180);
  expect(requests(40)).toBeLessThanOrEqual(200);
  await clock.advance(40_000);
  expect(requests(40)).toBe(800);
});

test('a dead node is empty, also of what was put in, and what came meanwhile is lost', async () => {
  const { clock, nodes, oldest, requests, store } = world({}, 100_000, 2);
  const body = { type: 'LOG', payload: 'x' } as const;
  store.inject({ timestampUs: clock.now() * 1000 - 5, sourceId: 'platform', instanceId: '', tags: {}, body });
  nodes.takeDown(nodes.numberOf('shop'));
  expect([oldest(), requests(40)]).toEqual([undefined, 0]);
  const others = Array.from({ length: 20 }, (_, i) => nodes.numberOf(`app-${i}`));
  expect(new Set(others)).toEqual(new Set([0, 1]));
  await clock.advance(30_000);
  nodes.bringUp(nodes.numberOf('shop'));
  nodes.restart();
  expect([oldest(), oldest('platform')]).toEqual([undefined, undefined]);
  await clock.advance(5_000);
  expect(oldest()).toBeLessThanOrEqual(5);
});

test('the gateway connects again at ever longer distances, two minutes at most', async () => {
  const clock = new ManualClock();
  const route = new LogCacheRoute(clock, { restart: () => {} });
  const refusedAfter = async (awayMs: number) => {
    route.takeDown('logCache');
    await clock.advance(awayMs);
    expect(route.gatewayIsConnected).toBe(false);
    route.bringUp('logCache');
    let secs = 0;
    for (; !route.gatewayIsConnected; secs++) await clock.advance(1_000);
    return secs;
  };
  expect(await refusedAfter(500)).toBe(1);
  expect(await refusedAfter(60_000)).toBeGreaterThan(5);
  const longest = await refusedAfter(600_000);
  expect(longest).toBeGreaterThan(30);
  expect(longest).toBeLessThanOrEqual(120);
});

describe('what stands in the way to log-cache', () => {
  const clock = new ManualClock();
  let platform: Platform;
  let authorization: string;
  beforeAll(async () => {
    // Time stands still while a query is answered.
    platform = await startPlatform({ clock, queryUsPerEnvelope: 0, apps: [{ guid: 'shop', load }] });
    authorization = await adminAuthorization(platform);
  });
  afterEach(async () => {
    await platform.bringUp('uaa');
    for (const part of ['proxy', 'gateway', 'logCache'] as const) platform.logCacheRoute.bringUp(part);
    await clock.advance(120_000);
  });
  afterAll(() => platform.stop());

  const get = async (path: string) => {
    const { status, body } = await ask(platform.urls.logCache + path, {
      ca: platform.ca,
      headers: { authorization },
    });
    return [status, body] as const;
  };
  const query = `/api/v1/query?${new URLSearchParams({ query: 'http{source_id="shop"}' }).toString()}`;
  const both = () => Promise.all([get('/api/v1/read/shop'), get(query)]);

  test('the proxy gone is 503 and text of gorouter, the gateway gone 502 without a body', async () => {
    platform.logCacheRoute.takeDown('proxy');
    const text = expect.stringMatching(/^503 Service Unavailable/);
    expect(await both()).toEqual([
      [503, text],
      [503, text],
    ]);
    platform.logCacheRoute.bringUp('proxy');
    platform.logCacheRoute.takeDown('gateway');
    expect(await both()).toEqual([
      [502, ''],
      [502, ''],
    ]);
  });

  test('log-cache gone is 503 of the gateway, also for a while after it is back', async () => {
    platform.logCacheRoute.takeDown('logCache');
    await clock.advance(60_000);
    platform.logCacheRoute.bringUp('logCache');
    const unavailable = [
      [503, expect.stringContaining('"code":14')],
      [503, expect.stringContaining('"errorType":"internal"')],
    ];
    expect(await both()).toEqual(unavailable);
    await clock.advance(120_000);
    expect((await both()).map(([status]) => status)).toEqual([200, 200]);
  });

  test('a new proxy does not listen before it has read the keys of UAA', async () => {
    await platform.takeDown('uaa');
    expect((await get('/api/v1/read/shop'))[0]).toBe(200);
    platform.logCacheRoute.takeDown('proxy');
    platform.logCacheRoute.bringUp('proxy');
    expect((await get('/api/v1/read/shop'))[0]).toBe(503);
    await platform.bringUp('uaa');
    expect((await get('/api/v1/read/shop'))[0]).toBe(200);
  });
});

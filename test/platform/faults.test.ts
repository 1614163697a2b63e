import { request } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { adminAuthorization, ask, askForToken, type ClientAnswer } from './client.js';
import { constantLoad } from './load-script.js';
import { startPlatform, type Platform } from './platform.js';

const clock = new ManualClock();
const path = '/api/v1/read/shop?name_filter=^cpu$';
let platform: Platform;
let authorization: string;

beforeAll(async () => {
  const load = constantLoad({ requestsPerSecond: 50, cpuPercent: 100 });
  platform = await startPlatform({
    clock,
    apps: [{ guid: 'shop', load, instances: 2 }],
    // Time stands still.
    queryUsPerEnvelope: 0,
  });
  authorization = await adminAuthorization(platform);
});
afterEach(() => platform.faults.clear());
afterAll(() => platform.stop());

function get(pathname: string): Promise<ClientAnswer> {
  return ask(platform.urls.logCache + pathname, { ca: platform.ca, headers: { authorization } });
}

function query(promql: string): Promise<ClientAnswer> {
  return get(`/api/v1/query?${new URLSearchParams({ query: promql }).toString()}`);
}

test('a status is answered as often as asked for, for the app asked for', async () => {
  platform.faults.set({
    server: 'logCache',
    operation: 'read',
    app: 'shop',
    times: 2,
    fault: { kind: 'status', status: 503 },
  });
  expect((await get('/api/v1/read/bank')).status).toBe(200);
  expect([(await get(path)).status, (await get(path)).status, (await get(path)).status]).toEqual([
    503, 503, 200,
  ]);
});

test('reads of gauges can fail alone, and fail where reads do', async () => {
  const gauges = `${path}${path.includes('?') ? '&' : '?'}envelope_types=GAUGE`;
  for (const [operation, statuses] of [
    ['gauges', [503, 200]],
    ['read', [503, 503]],
  ] as const) {
    const fault = { kind: 'status', status: 503 } as const;
    const set = platform.faults.set({ server: 'logCache', operation, fault });
    expect([(await get(gauges)).status, (await get(path)).status]).toEqual(statuses);
    set.lift();
  }
});

test('reset and cut break the connection', async () => {
  for (const kind of ['reset', 'cut'] as const) {
    const fault = platform.faults.set({ server: 'logCache', fault: { kind } });
    await expect(get(path)).rejects.toThrow();
    fault.lift();
  }
});

test('garbage, empty and NaN answers', async () => {
  const during = async (kind: 'garbage' | 'empty' | 'nan' | 'unauthorized') => {
    const fault = platform.faults.set({ server: 'logCache', fault: { kind } });
    const answers = await Promise.all([get(path), query('cpu{source_id="shop"}')]);
    fault.lift();
    return answers.map(({ status, body }) => `${status} ${body.trim()}`);
  };
  expect(await during('garbage')).toEqual(['200 <html>maintenance</html>', '200 <html>maintenance</html>']);
  expect(await during('empty')).toEqual([
    '200 {"envelopes":{"batch":[]}}',
    '200 {"status":"success","data":{"resultType":"vector","result":[]}}',
  ]);
  expect((await during('nan'))[0]).toContain('"value":"NaN"');
  expect(await during('unauthorized')).toEqual(['404 ', '404 ']);
});

test('a hanging answer comes when the fault is lifted, a stalled one is finished then', async () => {
  for (const kind of ['hang', 'stall'] as const) {
    const fault = platform.faults.set({ server: 'logCache', operation: 'read', fault: { kind } });
    const answer = get(path);
    while (platform.faults.list()[0]?.hits === 0) await new Promise(setImmediate);
    fault.lift();
    expect((await answer).body).toContain('"batch":[{');
  }
});

test('a delayed answer takes its time', async () => {
  platform.faults.set({ server: 'uaa', fault: { kind: 'delay', ms: 4000 } });
  const answer = askForToken(platform, { grant_type: 'client_credentials' });
  await clock.timersPending();
  expect(clock.nextTimerInMs).toBe(4000);
  await clock.advance(4000);
  expect((await answer).status).toBe(200);
});

test('Cloud Controller is asked before each query and never before a read, and admins do without its answer', async () => {
  const fault = platform.faults.set({ server: 'cloudController', fault: { kind: 'hang' } });
  let answered = false;
  const answer = query('cpu{source_id="shop"}').then((value) => {
    answered = true;
    return value;
  });
  while (platform.faults.list()[0]?.hits === 0) await new Promise(setImmediate);
  expect((await get(path)).status).toBe(200);
  expect(answered).toBe(false);
  fault.lift();
  expect((await answer).status).toBe(200);
  for (const status of [403, 500]) {
    platform.faults.set({ server: 'cloudController', times: 1, fault: { kind: 'status', status } });
    expect((await query('cpu{source_id="shop"}')).status).toBe(200);
  }
  expect(platform.faults.list().map(({ hits }) => hits)).toEqual([1, 1]);
});

test('a server that is down refuses connections, and comes back on the same port', async () => {
  await platform.takeDown('logCache');
  await expect(get(path)).rejects.toThrow('ECONNREFUSED');
  await platform.bringUp('logCache');
  expect((await get(path)).status).toBe(200);
});

test('an answer that nobody wanted compressed is what was asked for, in gzip', async () => {
  const plain = await get('/api/v1/info');
  const fault = platform.faults.set({ server: 'logCache', fault: { kind: 'compressed' } });
  const url = new URL('/api/v1/info', platform.urls.logCache);
  const compressed = await new Promise<{ encoding: string | undefined; body: Buffer }>((resolve, reject) => {
    request(url, { ca: platform.ca }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(parts) }),
      );
    })
      .on('error', reject)
      .end();
  });
  fault.lift();
  expect(compressed.encoding).toBe('gzip');
  expect(gunzipSync(compressed.body).toString()).toBe(plain.body);
});

test('while the forwarder of http timers is dead they are lost for reads and queries, and nothing else is', async () => {
  const { httpForwarder } = platform;
  const inLastSecs = async (secs: number) => {
    const start = (clock.now() - secs * 1000) * 1e6;
    const read = (type: string) =>
      get(`/api/v1/read/shop?envelope_types=${type}&limit=1000&start_time=${start}`).then(
        ({ body }) => (JSON.parse(body) as { envelopes: { batch: unknown[] } }).envelopes.batch.length,
      );
    const { body } = await query(`sum(count_over_time(http{source_id="shop",peer_type="Client"}[${secs}s]))`);
    const [sample] = (JSON.parse(body) as { data: { result: { value: [number, string] }[] } }).data.result;
    return {
      timers: await read('TIMER'),
      counted: Number(sample?.value[1] ?? 0),
      gauges: await read('GAUGE'),
    };
  };
  await clock.advance(20_000);
  const before = await inLastSecs(4);
  expect(before).toMatchObject({ timers: 400, counted: 200 });
  httpForwarder.takeDown();
  await clock.advance(20_000);
  expect(await inLastSecs(15)).toMatchObject({ timers: 0, counted: 0 });
  expect((await inLastSecs(15)).gauges).toBeGreaterThan(0);
  httpForwarder.bringUp();
  await clock.advance(2_000);
  expect(await inLastSecs(4)).toMatchObject({ timers: 200, counted: 100 });
});

import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { egressService, promqlService } from './grpc-definition.js';
import { createGrpcLogCache } from '../../src/log-cache/grpc-log-cache.js';
import { type GaugeTags, gaugeTags, type LogCache, type ReadRequest } from '../../src/log-cache/log-cache.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { whole } from '../log-cache/simulated-log-cache.js';
import { ManualClock } from '../support/manual-clock.js';
import { adminAuthorization, ask } from './client.js';
import type { Fault } from './faults.js';
import { constantLoad } from './load-script.js';
import { startPlatform, type Platform } from './platform.js';

/* log-cache over gRPC, asked by the real client and, where that asks too politely, by a bare one. */

const clock = new ManualClock();
let platform: Platform;
let identity: IssuedCertificate;
let logCache: LogCache;

beforeAll(async () => {
  const load = constantLoad({ requestsPerSecond: 50, cpuPercent: 100 });
  platform = await startPlatform({
    clock,
    apps: [{ guid: 'shop', load, instances: 2 }],
    // Time stands still.
    queryUsPerEnvelope: 0,
  });
  identity = await platform.issueCertificate('eventgenerator');
});
afterAll(() => platform.stop());
beforeEach(() => {
  logCache = connect();
});
afterEach(() => platform.faults.clear());

function connect({ key, chain }: IssuedCertificate = identity, timeoutMs = 15_000): LogCache {
  return createGrpcLogCache({
    address: platform.logCacheGrpc,
    ca: [platform.ca],
    key,
    cert: chain,
    readTimeoutMs: timeoutMs,
    queryTimeoutMs: timeoutMs,
  });
}

function readOf(names: string[], more: Partial<ReadRequest> = {}): ReadRequest {
  const endNs = BigInt(clock.now()) * 1_000_000n;
  const startNs = endNs - 120_000_000_000n;
  return { sourceId: 'shop', startNs, endNs, limit: 1000, names, authorization: null, ...more };
}

/** Those that are not left out over gRPC. */
function lookedAt(tags: GaugeTags): GaugeTags {
  return Object.fromEntries(
    gaugeTags.flatMap((name) => (tags[name] === undefined ? [] : [[name, tags[name]]])),
  );
}

function queryOf(query: string, secsAgo = 0) {
  return { query, timeSecs: Math.floor(clock.now() / 1000) - secsAgo, authorization: null };
}

/** A call of the bare client; rejects with its status. */
async function call(
  path: string,
  request: Buffer,
  options: { identity?: Partial<IssuedCertificate> } = {},
): Promise<Buffer> {
  const { key, chain } = options.identity ?? identity;
  const client = new Client(
    platform.logCacheGrpc,
    credentials.createSsl(
      Buffer.from(platform.ca),
      key === undefined ? null : Buffer.from(key),
      chain === undefined ? null : Buffer.from(chain),
    ),
    { 'grpc.ssl_target_name_override': 'logcache', 'grpc.max_receive_message_length': -1 },
  );
  const asIs = (bytes: Buffer) => bytes;
  try {
    return await new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, asIs, asIs, request, (error: ServiceError | null, answer?: Buffer) =>
        answer ? resolve(answer) : reject(error ?? new Error('no message')),
      ),
    );
  } finally {
    client.close();
  }
}

const read = (fields: object) => Buffer.from(egressService.Read.requestSerialize(fields as never));
const instantQuery = (fields: object) =>
  Buffer.from(promqlService.InstantQuery.requestSerialize(fields as never));

describe('only a client with a certificate of the platform is served', () => {
  test.each([
    ['none', async () => ({})],
    [
      'one of another authority',
      async () => (await createCertificateAuthority('Other')).issue({ commonName: 'stranger' }),
    ],
  ])('%s: unavailable', async (_which, of) => {
    const asked = call(egressService.Read.path, read({ source_id: 'shop' }), { identity: await of() });
    await expect(asked).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  test('and that has to expect one of the three names instead of the host it dials', async () => {
    const client = new Client(
      platform.logCacheGrpc.replace('127.0.0.1', 'localhost'),
      credentials.createSsl(Buffer.from(platform.ca), Buffer.from(identity.key), Buffer.from(identity.chain)),
    );
    const asIs = (bytes: Buffer) => bytes;
    const asked = new Promise((resolve, reject) =>
      client.makeUnaryRequest(egressService.Read.path, asIs, asIs, read({}), (error: ServiceError | null) =>
        error ? reject(error) : resolve('served'),
      ),
    );
    await expect(asked).rejects.toMatchObject({ code: status.UNAVAILABLE });
    client.close();
  });
});

test('a page holds what a page over REST holds', async () => {
  const { envelopes } = await logCache.read(readOf(['cpu', 'memory']), whole);
  expect(envelopes.length).toBeGreaterThan(20);
  const { startNs, endNs } = readOf([]);
  const query = `start_time=${startNs}&end_time=${endNs}&limit=1000&descending=true&envelope_types=GAUGE&name_filter=^(cpu|memory)$`;
  const { body } = await ask(`${platform.urls.logCache}/api/v1/read/shop?${query}`, {
    ca: platform.ca,
    headers: { authorization: await adminAuthorization(platform) },
  });
  const { batch } = (JSON.parse(body) as { envelopes: { batch: Record<string, unknown>[] } }).envelopes;
  expect(
    envelopes.map(({ timestamp, sourceId, instanceId, tags, metrics }) => ({
      timestamp,
      source_id: sourceId,
      instance_id: instanceId,
      deprecated_tags: {},
      tags,
      gauge: { metrics: Object.fromEntries(metrics.map(({ name, ...gauge }) => [name, gauge])) },
    })),
  ).toEqual(batch.map((envelope) => ({ ...envelope, tags: lookedAt(envelope['tags'] as GaugeTags) })));
});

test('envelopes of every kind are told apart, and ANY is no filter', async () => {
  const tags = { a: 'b' };
  const timestampUs = clock.now() * 1000 - 10;
  const common = { sourceId: 'mixed', instanceId: '3', tags };
  const bodies = [
    { type: 'LOG', payload: 'hello' },
    { type: 'COUNTER', name: 'rx', total: 7 },
    { type: 'GAUGE', metrics: { cpu: { unit: '', value: Infinity } } },
    { type: 'TIMER', name: 'http', startUs: 1, stopUs: 2 },
    { type: 'EVENT', title: 't', body: 'b' },
  ] as const;
  for (const [i, body] of bodies.entries()) {
    platform.logCache.inject({ ...common, timestampUs: timestampUs + i, body });
  }
  const types = async (...envelope_types: string[]) => {
    const answer = await call(egressService.Read.path, read({ source_id: 'mixed', envelope_types }));
    return egressService.Read.responseDeserialize(answer).envelopes?.batch ?? [];
  };
  expect(await types('ANY')).toMatchObject([
    { log: { payload: Buffer.from('hello'), type: 'OUT' }, tags, instance_id: '3' },
    { counter: { name: 'rx', delta: '0', total: '7' } },
    { gauge: { metrics: { cpu: { unit: '', value: Infinity } } } },
    { timer: { name: 'http', start: '1000', stop: '2000' } },
    { event: { title: 't', body: 'b' } },
  ]);
  expect(await types('TIMER')).toHaveLength(1);
});

test('a page may be larger than the 4 MiB that clients take by default', async () => {
  const tags = { padding: 'x'.repeat(8000) };
  const body = { type: 'GAUGE', metrics: { jobs: { unit: '', value: 1 } } } as const;
  for (let i = 1; i <= 1000; i++) {
    const timestampUs = clock.now() * 1000 - i;
    platform.logCache.inject({ timestampUs, sourceId: 'large', instanceId: '', tags, body });
  }
  const page = await logCache.read(readOf(['jobs'], { sourceId: 'large' }), whole);
  expect(page.envelopes).toHaveLength(1000);
  expect(page.bytes).toBeGreaterThan(8_000_000);
});

test('requests beyond 50 MiB are refused', async () => {
  const request = read({ source_id: 'x'.repeat(50 * 1024 * 1024) });
  await expect(call(egressService.Read.path, request)).rejects.toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
  });
});

describe('a query', () => {
  const perInstance = (range: string) =>
    `sum by (instance_id) (count_over_time(http{source_id="shop",peer_type="Client"}[${range}]))`;

  test('yields a vector, over the very window', async () => {
    const { samples } = await logCache.instantQuery(queryOf(perInstance('40s')), whole);
    expect(samples.map(({ value }) => value)).toEqual([1000, 1000]);
    expect(samples.map(({ labels }) => labels['instance_id']).sort()).toEqual(['0', '1']);
  });

  test('may have a range that the auth proxy would print in two units', async () => {
    const { samples } = await logCache.instantQuery(queryOf(perInstance('90s')), whole);
    expect(samples.map(({ value }) => value)).toEqual([2250, 2250]);
    await expect(logCache.instantQuery(queryOf(perInstance('1m30s')), whole)).rejects.toMatchObject({
      kind: 'server-error',
      message: expect.stringContaining('parse error'),
    });
  });

  test('may yield a scalar or a matrix too', async () => {
    const ask = async (query: string) =>
      promqlService.InstantQuery.responseDeserialize(
        await call(promqlService.InstantQuery.path, instantQuery({ query })),
      );
    const secs = Math.floor(clock.now() / 1000);
    expect(await ask('6 * 7')).toMatchObject({ scalar: { time: `${secs}.000`, value: 42 } });
    expect(await ask('cpu{source_id="shop"}[60s]')).toMatchObject({
      matrix: {
        series: [
          { metric: { instance_id: '0' }, points: expect.any(Array) },
          { metric: { instance_id: '1' }, points: expect.any(Array) },
        ],
      },
    });
  });
});

describe('a range query', () => {
  const secs = Math.floor(clock.now() / 1000);
  const ask = (query: string, step: string) =>
    call(
      promqlService.RangeQuery.path,
      Buffer.from(
        promqlService.RangeQuery.requestSerialize({ query, start: `${secs - 15}`, end: `${secs}`, step }),
      ),
    );

  test('yields a matrix, of a scalar too', async () => {
    const { matrix } = promqlService.RangeQuery.responseDeserialize(await ask('6 * 7', '15s'));
    const points = [
      { time: `${secs - 15}.000`, value: 42 },
      { time: `${secs}.000`, value: 42 },
    ];
    expect(matrix.series).toEqual([{ metric: {}, points }]);
  });

  test.each([
    ['cpu', '5', `metric 'cpu' does not have a 'source_id' label`],
    ['sum(', '5', 'parse error at char 5: '],
    ['cpu{source_id="shop"}', '', `couldn't parse step: cannot parse "" to a valid step`],
  ])('of %s by "%s" is refused with UNKNOWN', async (query, step, details) => {
    await expect(ask(query, step)).rejects.toMatchObject({
      code: status.UNKNOWN,
      details: expect.stringContaining(details),
    });
  });
});

test('a text comes as it is, whatever is in it', async () => {
  const asked = call(promqlService.InstantQuery.path, instantQuery({ query: '1', time: 'mañana: 100 %' }));
  await expect(asked).rejects.toMatchObject({
    details: 'cannot parse "mañana: 100 %" to a valid Unix or RFC3339 timestamp',
  });
});

test.each([
  ['a limit beyond 1000', { limit: '1001' }, 'limit (1001) must be 1000 or less'],
  ['a window that ends before it begins', { start_time: '5', end_time: '2' }, 'must be before EndTime'],
  ['a bad filter', { name_filter: '(' }, 'must be a valid regular expression'],
])('refuses %s with UNKNOWN', async (_what, fields, details) => {
  const asked = call(egressService.Read.path, read({ source_id: 'shop', ...fields }));
  await expect(asked).rejects.toMatchObject({
    code: status.UNKNOWN,
    details: expect.stringContaining(details),
  });
});

test('a query without a source_id is refused, and a method that there is none', async () => {
  const query = call(promqlService.InstantQuery.path, instantQuery({ query: 'cpu' }));
  await expect(query).rejects.toMatchObject({ code: status.UNKNOWN });
  await expect(call('/logcache.v1.Egress/Write', read({}))).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
  });
});

describe('faults', () => {
  test.each<[Fault, string]>([
    [{ kind: 'status', status: 500, body: 'broken' }, 'server-error'],
    [{ kind: 'status', status: 503 }, 'connection'],
    [{ kind: 'status', status: 504 }, 'gave-up'],
    [{ kind: 'status', status: 400 }, 'client-error'],
    [{ kind: 'status', status: 418 }, 'client-error'],
    [{ kind: 'status', status: 599 }, 'server-error'],
    [{ kind: 'unauthorized' }, 'unauthorized'],
    [{ kind: 'reset' }, 'connection'],
    [{ kind: 'cut' }, 'connection'],
    [{ kind: 'garbage' }, 'bad-answer'],
  ])('%j is the failure %s, and the next request is served', async (fault, kind) => {
    platform.faults.set({ server: 'logCache', fault, times: 2 });
    await expect(logCache.read(readOf(['cpu']), whole)).rejects.toMatchObject({ kind });
    const query = queryOf('sum(cpu{source_id="shop"})');
    await expect(logCache.instantQuery(query, whole)).rejects.toMatchObject({ kind });
    expect((await logCache.read(readOf(['cpu']), whole)).envelopes).not.toHaveLength(0);
  });

  test.each(['hang', 'stall'] as const)('%s lasts until it is lifted', async (kind) => {
    const fault = platform.faults.set({ server: 'logCache', operation: 'read', fault: { kind } });
    const reading = logCache.read(readOf(['cpu']), whole);
    await logCache.instantQuery(queryOf('sum(cpu{source_id="shop"})'), whole);
    fault.lift();
    expect((await reading).envelopes).not.toHaveLength(0);
  });

  test('a hanging read ends with the deadline of the client', async () => {
    platform.faults.set({ server: 'logCache', operation: 'read', fault: { kind: 'hang' } });
    const hasty = connect(identity, 100);
    await expect(hasty.read(readOf(['cpu']), whole)).rejects.toMatchObject({ kind: 'timeout' });
  });

  test('empty is empty, NaN is NaN, and a fault may be for one app', async () => {
    platform.faults.set({ server: 'logCache', app: 'shop', fault: { kind: 'empty' }, times: 2 });
    expect((await logCache.read(readOf(['jobs'], { sourceId: 'other' }), whole)).envelopes).toEqual([]);
    expect((await logCache.read(readOf(['cpu']), whole)).envelopes).toEqual([]);
    expect((await logCache.instantQuery(queryOf('cpu{source_id="shop"}'), whole)).samples).toEqual([]);
    platform.faults.set({ server: 'logCache', operation: 'read', fault: { kind: 'nan' } });
    const { envelopes } = await logCache.read(readOf(['cpu']), whole);
    expect(new Set(envelopes.map(({ metrics }) => metrics[0]?.value))).toEqual(new Set([NaN]));
  });

  test('a server that was taken down comes up on the same port', async () => {
    const address = platform.logCacheGrpc;
    await platform.takeDown('logCache');
    await expect(logCache.read(readOf(['cpu']), whole)).rejects.toMatchObject({ kind: 'connection' });
    await platform.bringUp('logCache');
    expect(platform.logCacheGrpc).toBe(address);
    const fresh = connect();
    expect((await fresh.read(readOf(['cpu']), whole)).envelopes).not.toHaveLength(0);
  });
});

test('the books count both transports alike', async () => {
  const before = structuredClone(platform.books.of('read'));
  const queriesBefore = platform.books.of('query').requests;
  const page = await logCache.read(readOf(['cpu']), whole);
  platform.faults.set({ server: 'logCache', fault: { kind: 'status', status: 500 }, times: 1 });
  await logCache.read(readOf(['cpu']), whole).catch(() => {});
  await logCache.instantQuery(queryOf('sum(cpu{source_id="shop"})'), whole);
  await platform.books.until((books) => books.of('query').requests > queriesBefore);
  const { requests, envelopes, bytes, byStatus } = platform.books.of('read');
  expect(requests - before.requests).toBe(2);
  expect(envelopes - before.envelopes).toBe(page.envelopes.length);
  expect(bytes - before.bytes).toBe(page.bytes);
  expect((byStatus['200'] ?? 0) - (before.byStatus['200'] ?? 0)).toBe(1);
  expect((byStatus['500'] ?? 0) - (before.byStatus['500'] ?? 0)).toBe(1);
});

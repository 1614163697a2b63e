import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createGrpcLogCache } from '../../src/log-cache/grpc-log-cache.js';
import type { LogCache, ReadRequest } from '../../src/log-cache/log-cache.js';
import { createRestLogCache } from '../../src/log-cache/rest-log-cache.js';
import { type CertificateAuthority, createCertificateAuthority } from '../support/certificates.js';
import { restHandler, serveGrpc, serveHttps } from './servers.js';
import { appId, gauge, SimulatedStore, whole } from './simulated-log-cache.js';

/* What both transports owe the collector, whatever lies underneath. */

interface Connected {
  readonly logCache: LogCache;
  hang(): void;
  close(): Promise<void>;
}

/** Only a test of the deadline itself should meet it, however slow the machine is. */
const ample = 15_000;
let authority: CertificateAuthority;
beforeAll(async () => {
  authority = await createCertificateAuthority();
});

async function overRest(store: SimulatedStore, timeoutMs = ample): Promise<Connected> {
  const server = await serveHttps(authority, restHandler(store));
  const logCache = createRestLogCache({
    url: server.url,
    ca: [authority.cert],
    skipSslValidation: false,
    readTimeoutMs: timeoutMs,
    queryTimeoutMs: timeoutMs,
  });
  const hang = () => void (server.handler = () => {});
  return { logCache, hang, close: () => server.close() };
}

async function overGrpc(store: SimulatedStore, timeoutMs = ample): Promise<Connected> {
  const server = await serveGrpc(authority, store);
  const { key, cert } = await authority.issue({ commonName: 'eventgenerator' });
  const logCache = createGrpcLogCache({
    address: server.address,
    ca: [authority.cert],
    key,
    cert,
    readTimeoutMs: timeoutMs,
    queryTimeoutMs: timeoutMs,
  });
  const hang = () => void (server.fault = () => {});
  return { logCache, hang, close: async () => server.close() };
}

const request: ReadRequest = {
  sourceId: appId,
  startNs: 1_000n,
  endNs: 2_000n,
  limit: 1000,
  names: ['cpu'],
  authorization: 'bearer token',
};

describe.each([
  ['REST', overRest],
  ['gRPC', overGrpc],
])('over %s', (_name, connect) => {
  let store: SimulatedStore;
  let connected: Connected;
  beforeEach(async () => {
    store = new SimulatedStore();
    connected = await connect(store);
  });
  afterEach(() => connected.close());

  test('an envelope arrives as it was sent, with the tags that are looked at', async () => {
    const tags = { origin: 'rep', process_type: 'web', process_instance_id: 'guid-7' };
    const head = { unit: 'percentage', instanceId: '7', tags };
    const envelope = gauge(1_755_700_000_123_456_000n, 'cpu', 12.75, head);
    store.add(envelope);
    const page = await connected.logCache.read(
      {
        ...request,
        startNs: 1_755_700_000_000_000_000n,
        endNs: 1_755_700_001_000_000_000n,
      },
      whole,
    );
    expect(page.envelopes).toEqual([envelope]);
    expect(page.bytes).toBeGreaterThan(100);
  });

  test('numbers that JSON does not know, zeros and empty strings arrive', async () => {
    const values = [NaN, Infinity, -Infinity, 0, -1.5, 1.8e19];
    store.add(
      ...values.map((value, i) => gauge(1_900n - BigInt(i), 'cpu', value, { unit: '', instanceId: '' })),
    );
    const page = await connected.logCache.read(request, whole);
    expect(page.envelopes.map(({ metrics }) => metrics[0]?.value)).toEqual(values);
    expect(page.envelopes[0]).toMatchObject({ instanceId: '', metrics: [{ unit: '' }] });
  });

  test('an envelope may combine several gauges', async () => {
    const metrics = [
      { name: 'memory', unit: 'bytes', value: 1 },
      { name: 'memory_quota', unit: 'bytes', value: 2 },
    ];
    store.add(gauge(1_500n, 'memory', 1, { metrics }));
    const page = await connected.logCache.read({ ...request, names: ['memory', 'memory_quota'] }, whole);
    expect(page.envelopes[0]?.metrics).toEqual(metrics);
  });

  test('the name filter is anchored and its names are literal', async () => {
    store.add(gauge(1_500n, 'cpu', 1), gauge(1_500n, 'cpu_entitlement', 2), gauge(1_500n, 'cpuX', 3));
    const names = async (...asked: string[]) =>
      (await connected.logCache.read({ ...request, names: asked }, whole)).envelopes.map(
        (e) => e.metrics[0]?.name,
      );
    expect(await names('cpu')).toEqual(['cpu']);
    expect(await names('cpu.', '(cpu')).toEqual([]);
    expect(await names('cpu', 'cpuX')).toEqual(['cpu', 'cpuX']);
  });

  test('the window includes its start and excludes its end, newest first, limited', async () => {
    store.add(...[999n, 1_000n, 1_500n, 1_999n, 2_000n].map((time) => gauge(time, 'cpu', 1)));
    const times = async (limit: number) =>
      (await connected.logCache.read({ ...request, limit }, whole)).envelopes.map(
        ({ timestamp }) => timestamp,
      );
    expect(await times(1000)).toEqual(['1999', '1500', '1000']);
    expect(await times(2)).toEqual(['1999', '1500']);
  });

  test('timers arrive newest first, with how long each took', async () => {
    const timer = (timestamp: bigint, durationNs: number) => ({
      timestamp: String(timestamp),
      sourceId: appId,
      instanceId: '3',
      tags: { peer_type: 'Client', request_id: String(timestamp), instance_id: '9' },
      durationNs,
    });
    const startNs = 1_755_700_000_000_000_000n;
    store.timers.push(timer(startNs + 2_000n, 12_345_678), timer(startNs, 0), timer(startNs - 1_000n, 5));
    store.add(gauge(startNs, 'cpu', 1));
    const window = { sourceId: appId, startNs, endNs: startNs + 2_001n, authorization: 'bearer token' };
    const page = await connected.logCache.readTimers({ ...window, limit: 1000 }, whole);
    expect(page.envelopes).toEqual(store.timers.slice(0, 2));
    expect(page.bytes).toBeGreaterThan(100);
  });

  test('an unknown source is an empty page', async () => {
    expect((await connected.logCache.read({ ...request, sourceId: 'a/b c?d' }, whole)).envelopes).toEqual([]);
    expect(store.reads[0]?.sourceId).toBe('a/b c?d');
  });

  test('a vector arrives with its labels and values', async () => {
    store.vector = [
      { labels: { source_id: appId, instance_id: '0' }, value: 12.5 },
      { labels: { source_id: appId }, value: NaN },
      { labels: {}, value: Infinity },
    ];
    const query = 'sum(http{source_id="a"}[40s])';
    const answer = await connected.logCache.instantQuery(
      {
        query,
        timeSecs: 1_755_700_000,
        authorization: null,
      },
      whole,
    );
    expect(answer.samples).toEqual(store.vector);
    expect(store.queries).toEqual([{ query, timeSecs: 1_755_700_000 }]);
  });

  test('what hangs ends with the deadline', async () => {
    const brief = await connect(store, 100);
    brief.hang();
    const query = { query: 'q', timeSecs: 1, authorization: null };
    await expect(brief.logCache.read(request, whole)).rejects.toMatchObject({ kind: 'timeout' });
    await expect(brief.logCache.instantQuery(query, whole)).rejects.toMatchObject({ kind: 'timeout' });
    await brief.close();
  });

  test('a server that is gone is a connection failure', async () => {
    await connected.logCache.read(request, whole);
    await connected.close();
    await expect(connected.logCache.read(request, whole)).rejects.toMatchObject({ kind: 'connection' });
  });
});

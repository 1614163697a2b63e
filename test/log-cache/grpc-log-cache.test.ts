import { type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createGrpcLogCache } from '../../src/log-cache/grpc-log-cache.js';
import type { LogCache } from '../../src/log-cache/log-cache.js';
import { type CertificateAuthority, createCertificateAuthority } from '../support/certificates.js';
import { type GrpcLogCacheServer, serveGrpc } from './servers.js';
import { appId, gauge, SimulatedStore, whole } from './simulated-log-cache.js';

const request = {
  sourceId: appId,
  startNs: 1_000n,
  endNs: 2_000n,
  limit: 1000,
  names: ['cpu'],
  authorization: null,
};

let authority: CertificateAuthority;
let store: SimulatedStore;
let server: GrpcLogCacheServer;
beforeAll(async () => {
  authority = await createCertificateAuthority();
});
beforeEach(async () => {
  store = new SimulatedStore();
  store.add(gauge(1_500n, 'cpu', 1));
  server = await serveGrpc(authority, store);
});
afterEach(() => server.close());

async function open(
  address = server.address,
  issuer = authority,
  readTimeoutMs = 15_000,
  trusted = authority,
): Promise<LogCache> {
  const { key, cert } = await issuer.issue({ commonName: 'eventgenerator' });
  return createGrpcLogCache({
    address,
    ca: [trusted.cert],
    key,
    cert,
    readTimeoutMs,
    queryTimeoutMs: 15_000,
  });
}

async function restart(dnsNames: string[], port = 0): Promise<void> {
  server.close();
  server = await serveGrpc(authority, store, { dnsNames, port });
}

describe('the certificate of the server is accepted', () => {
  test.each(['log-cache', 'log_cache', 'logcache'])('for the name %s', async (name) => {
    await restart([name]);
    expect((await (await open()).read(request, whole)).envelopes).toHaveLength(1);
  });

  test('for the host dialled', async () => {
    await restart(['localhost']);
    const address = server.address.replace('127.0.0.1', 'localhost');
    expect((await (await open(address)).read(request, whole)).envelopes).toHaveLength(1);
  });

  test('for no other', async () => {
    await restart(['scaling-engine']);
    await expect((await open()).read(request, whole)).rejects.toMatchObject({ kind: 'connection' });
  });
});

test('a server of a CA with the name of the one that is trusted is a connection failure that says what to do', async () => {
  await restart(['log-cache']);
  const namesake = await createCertificateAuthority();
  const logCache = await open(server.address, authority, undefined, namesake);
  for (let i = 0; i < 2; i++) {
    await expect(logCache.read(request, whole)).rejects.toMatchObject({
      kind: 'connection',
      message: expect.stringMatching(
        /two CAs have one name, give the one .* as metricCollector\.tls\.ca_file/,
      ),
    });
  }
});

test('a client certificate that the server does not trust is a connection failure', async () => {
  const other = await createCertificateAuthority('Other CA');
  await expect((await open(server.address, other)).read(request, whole)).rejects.toMatchObject({
    kind: 'connection',
  });
});

test('a page above the default limit of 4 MiB is read', async () => {
  const tags = { process_instance_id: 'x'.repeat(5_000) };
  store.add(...Array.from({ length: 1_000 }, () => gauge(1_600n, 'cpu', 1, { tags })));
  const page = await (await open()).read(request, whole);
  expect(page.envelopes).toHaveLength(1_000);
  expect(page.bytes).toBeGreaterThan(4_500_000);
});

test('a server that comes back is found again', async () => {
  const logCache = await open();
  await logCache.read(request, whole);
  const port = Number(server.address.split(':')[1]);
  server.close();
  await expect(logCache.read(request, whole)).rejects.toMatchObject({ kind: 'connection' });
  await restart(['log-cache'], port);
  const deadline = Date.now() + 10_000;
  let page;
  while (!page && Date.now() < deadline) page = await logCache.read(request, whole).catch(() => undefined);
  expect(page?.envelopes).toHaveLength(1);
});

test('a connection on which nothing is answered is given up for a new one', async () => {
  const logCache = await open(server.address, authority, 100);
  const peers = new Set<string>();
  server.fault = (_callback: sendUnaryData<never>, call) => void peers.add(call.getPeer());
  for (let i = 0; i < 100 && peers.size < 2; i++) {
    await expect(logCache.read(request, whole)).rejects.toMatchObject({ kind: 'timeout' });
  }
  expect(peers.size).toBe(2);
});

test.each([
  [status.DEADLINE_EXCEEDED, 'gave-up'],
  [status.UNAVAILABLE, 'connection'],
  [status.CANCELLED, 'connection'],
  [status.UNAUTHENTICATED, 'unauthorized'],
  [status.PERMISSION_DENIED, 'unauthorized'],
  [status.INVALID_ARGUMENT, 'client-error'],
  [status.UNKNOWN, 'server-error'],
  [status.INTERNAL, 'server-error'],
  [status.UNIMPLEMENTED, 'server-error'],
  [status.RESOURCE_EXHAUSTED, 'server-error'],
])('gRPC code %i is the failure %s', async (code, kind) => {
  server.fault = (callback) => callback({ code, details: 'why' });
  await expect((await open()).read(request, whole)).rejects.toMatchObject({ kind, message: /why/ });
});

test('a query without a vector is a bad answer: read as empty it would become a zero', async () => {
  server.fault = (callback) => callback(null, {} as never);
  const query = { query: 'q', timeSecs: 1, authorization: null };
  await expect((await open()).instantQuery(query, whole)).rejects.toMatchObject({ kind: 'bad-answer' });
});

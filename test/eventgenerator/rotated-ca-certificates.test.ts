import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLogCacheCollector } from '../../src/collection/open-collection.js';
import { openScalingEngine } from '../../src/scaling-engine/open-scaling-engine.js';
import { openServers } from '../../src/http/open-servers.js';
import type { Config, TlsConfig } from '../../src/config/config.js';
import type { ServersConfig } from '../../src/http/servers.js';
import { ask, cloudFoundryConfig, historyOf } from '../http/support.js';
import { restHandler, serveGrpc, serveHttps } from '../log-cache/servers.js';
import { appId, gauge, SimulatedStore } from '../log-cache/simulated-log-cache.js';
import {
  createCertificateAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../support/certificates.js';
import { sendJson, startHttpsServer } from '../tls/https-server.js';
import { startFakeUaa } from '../uaa/fake-uaa.js';
import { makeScene, readJob, until, type Scene } from './scene.js';
import { triggerFor } from '../evaluation/examples.js';

/* Authorities that are replaced on disk while the process runs, for all who trust them. */

const noTls: TlsConfig = { key: null, cert: null, ca: null };
const job = readJob(appId);

let folder: string;
let authority: CertificateAuthority;
let next: CertificateAuthority;
let scene: Scene;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rotated-authorities-'));
  authority = await createCertificateAuthority('Old CA');
  next = await createCertificateAuthority('New CA');
  scene = makeScene({ systemBundle: join(folder, 'bundle.crt') });
});
afterEach(async () => {
  await scene.releasers.releaseAll();
  await rm(folder, { recursive: true });
});

async function write(name: string, ...certificates: string[]): Promise<{ file: string }> {
  const file = join(folder, name);
  await writeFile(`${file}.new`, certificates.join('\n'));
  await rename(`${file}.new`, file);
  return { file };
}

function release(part: { close(): unknown }): void {
  scene.releasers.add('of the test', async () => void (await part.close()));
}

const logged = (event: string) => until(() => scene.events().includes(event));

async function openCfServer(config: Partial<ServersConfig['cfServer']>): Promise<number> {
  const cfServer = { ...cloudFoundryConfig().cfServer, ...config };
  const servers = await openServers(cloudFoundryConfig({ cfServer }), scene.context, scene.releasers, {
    history: historyOf(),
    lifecycle: () => 'running',
    readinessChecks: [],
  });
  return servers.addresses().cf?.port ?? NaN;
}

test('a server accepts the clients of its new ca_file, and those of the old one no longer', async () => {
  const { key, chain } = await authority.issue({ commonName: 'server', ipAddresses: ['127.0.0.1'] });
  const ca = await write('clients.crt', authority.cert);
  const port = await openCfServer({ tls: { key: { pem: key }, cert: { pem: chain }, ca } });
  const answerTo = async (issuer: CertificateAuthority) => {
    const { key, cert } = await issuer.issue({ commonName: 'client' });
    const options = { key, cert, ca: authority.cert };
    return ask(`https://127.0.0.1:${port}/health/liveness`, options).then(
      ({ status }) => status,
      () => 'refused',
    );
  };
  expect([await answerTo(authority), await answerTo(next)]).toEqual([200, 'refused']);
  await write('clients.crt', next.cert);
  await logged('http.cf.certificate-renewed');
  expect([await answerTo(authority), await answerTo(next)]).toEqual(['refused', 200]);
});

test('XFCC accepts the callers of its new ca_file, and those of the old one no longer', async () => {
  const ca = await write('issuers.crt', authority.cert);
  const port = await openCfServer({ xfcc: { validOrgGuid: 'o', validSpaceGuid: '', ca } });
  const subject = { commonName: 'caller', organizationalUnits: ['organization:o'] };
  const callers = [await authority.issue(subject), await next.issue(subject)];
  const answerTo = async ({ cert }: IssuedCertificate) => {
    const headers = { 'x-forwarded-client-cert': new X509Certificate(cert).raw.toString('base64') };
    return (await ask(`http://127.0.0.1:${port}/v1/liveness`, { headers })).status;
  };
  expect(await Promise.all(callers.map(answerTo))).toEqual([200, 401]);
  await write('issuers.crt', next.cert);
  await logged('http.authorities-reloaded');
  expect(await Promise.all(callers.map(answerTo))).toEqual([401, 200]);
});

test('the scaling engine is trusted once its authority is in ca_file', async () => {
  const { key, chain } = await next.issue({ commonName: 'engine', ipAddresses: ['127.0.0.1'] });
  const engine = await startHttpsServer({ key, cert: chain }, (_request, response) =>
    sendJson(response, 200, { app_id: appId, status: 2, adjustment: 0, cool_down_expired_at: 0 }),
  );
  release(engine);
  const tls = { ...noTls, ca: await write('engine.crt', authority.cert) };
  const { context, releasers } = scene;
  const config = { scalingEngine: { url: engine.url, tls }, httpClientTimeoutMs: 30_000 };
  const client = await openScalingEngine(config, context, releasers);
  const post = () => client.post(triggerFor(appId));
  expect(await post()).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  await write('engine.crt', authority.cert, next.cert);
  await logged('scaling-engine.authorities-reloaded');
  expect(await post()).toEqual({ kind: 'ignored' });
});

async function openCollector(logCache: Config['logCache']) {
  const config = { logCache, aggregator: { metricPollerCount: 20 } };
  return (await openLogCacheCollector(config, scene.context, scene.releasers)).collector;
}

function storeWithGauge(): SimulatedStore {
  const store = new SimulatedStore();
  store.add(gauge(1_500n, 'cpu', 7, { unit: 'percentage' }));
  return store;
}

/** UAA and log-cache over HTTPS; log-cache's certificate is of the new authority. */
async function restScene() {
  const uaa = await startFakeUaa();
  release(uaa);
  const logCache = await serveHttps(next, restHandler(storeWithGauge()));
  release(logCache);
  const grant = { type: 'client_credentials' } as const;
  const client = { clientId: 'id', clientSecret: 'secret', grant, skipSslValidation: false };
  return { uaa, logCache: { url: logCache.url, uaa: { url: uaa.url, ...client } } };
}

test("UAA is trusted once its authority is in the system's store", async () => {
  const { uaa, logCache } = await restScene();
  await write('bundle.crt', next.cert);
  const collector = await openCollector({ ...logCache, tls: noTls });
  await write('bundle.crt', next.cert, ...uaa.roots);
  await logged('collection.authorities-reloaded');
  expect(await collector.run(job)).toMatchObject({ kind: 'read' });
  expect(uaa.requests).toHaveLength(1);
});

test('threads trust log-cache over HTTPS once its authority is in ca_file', async () => {
  const { uaa, logCache } = await restScene();
  await write('bundle.crt', ...uaa.roots);
  const tls = { ...noTls, ca: await write('log-cache.crt', authority.cert) };
  const collector = await openCollector({ ...logCache, tls });
  expect(await collector.run(job)).toMatchObject({ kind: 'failed', failure: 'connection' });
  await write('log-cache.crt', next.cert);
  await logged('collection.authorities-reloaded');
  expect(await collector.run(job)).toMatchObject({ kind: 'read', outcomes: { cpu: { value: 7n } } });
});

test('threads trust log-cache over gRPC once its authority is in ca_file', async () => {
  const server = await serveGrpc(next, storeWithGauge());
  release(server);
  const { key, chain } = await next.issue({ commonName: 'eventgenerator' });
  const ca = await write('log-cache.crt', authority.cert);
  const tls = { key: { pem: key }, cert: { pem: chain }, ca };
  const collector = await openCollector({ url: server.address, uaa: null, tls });
  expect(await collector.run(job)).toMatchObject({ kind: 'failed', failure: 'connection' });
  await write('log-cache.crt', next.cert);
  await logged('collection.authorities-reloaded');
  expect(await collector.run(job)).toMatchObject({ kind: 'read', outcomes: { cpu: { value: 7n } } });
});

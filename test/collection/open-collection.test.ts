import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { sendUnaryData } from '@grpc/grpc-js';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CollectionResult } from '../../src/collection/pool/job.js';
import { openLogCacheCollector, type LogCacheCollectorConfig } from '../../src/collection/open-collection.js';
import type { Config } from '../../src/config/config.js';
import { serveGrpc, type GrpcLogCacheServer } from '../log-cache/servers.js';
import { appId, gauge, SimulatedStore } from '../log-cache/simulated-log-cache.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { makeScene, readJob, until, type Scene } from '../eventgenerator/scene.js';

/* Over gRPC, through real threads, with real certificate files. */

const job = readJob(appId);
const cpu = { outcomes: { cpu: { kind: 'value', value: 7n, unit: '%' } } };

let authority: CertificateAuthority;
let folder: string;
let server: GrpcLogCacheServer;
let scene: Scene;

beforeAll(async () => {
  authority = await createCertificateAuthority();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-cache-collector-'));
  const store = new SimulatedStore();
  store.add(gauge(1_500n, 'cpu', 7, { unit: 'percentage' }));
  server = await serveGrpc(authority, store);
  scene = makeScene();
});
afterEach(async () => {
  await scene.releasers.releaseAll();
  server.close();
  await rm(folder, { recursive: true });
});

async function replace(kind: 'key' | 'crt', content: string): Promise<void> {
  const path = join(folder, `client.${kind}`);
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function identity(commonName: string) {
  return authority.issue({ commonName });
}

function config(tls: Partial<Config['logCache']['tls']> = {}): LogCacheCollectorConfig {
  const files = { key: { file: join(folder, 'client.key') }, cert: { file: join(folder, 'client.crt') } };
  return {
    aggregator: { metricPollerCount: 20 },
    // A job under way waits until certificates were looked at again, however busy the machine is.
    timeouts: { readTimeoutMs: 120_000, queryTimeoutMs: 120_000 },
    logCache: { url: server.address, uaa: null, tls: { ...files, ca: { pem: authority.cert }, ...tls } },
  };
}

async function open(tls: Partial<Config['logCache']['tls']> = {}) {
  return openLogCacheCollector(config(tls), scene.context, scene.releasers);
}

describe('a client certificate that is replaced', () => {
  beforeEach(async () => {
    const first = await identity('first');
    await replace('key', first.key);
    await replace('crt', first.chain);
  });

  test('is followed under load, key first, without a failed job', async () => {
    const { collector } = await open();
    const results: CollectionResult[] = [];
    let loaded = true;
    const load = Array.from({ length: 8 }, async () => {
      while (loaded) results.push(await collector.run(job));
    });
    await until(() => results.length > 20);
    const second = await identity('second');
    await replace('key', second.key);
    const between = results.length;
    await until(() => results.length > between + 20);
    await replace('crt', second.chain);
    await until(() => server.callers.includes('second'));
    const after = results.length;
    await until(() => results.length > after + 20);
    loaded = false;
    await Promise.all(load);

    expect(results.filter((result) => result.kind !== 'read')).toEqual([]);
    expect(results.at(-1)).toMatchObject(cpu);
    expect(server.callers.at(-1)).toBe('second');
    expect(scene.events()).toEqual(['collection.certificate-reloaded']);
  });

  test('lets a job under way finish with the old one', async () => {
    const { collector } = await open();
    let answer: sendUnaryData<never> | undefined;
    server.fault = (callback) => {
      answer = callback;
      server.fault = null;
    };
    const underWay = collector.run(job);
    await until(() => answer !== undefined);
    const second = await identity('second');
    await replace('key', second.key);
    await replace('crt', second.chain);
    await until(() => scene.events().includes('collection.certificate-reloaded'));
    expect(await collector.run(job)).toMatchObject(cpu);
    answer?.(null, { envelopes: { batch: [] } } as never);
    expect(await underWay).toMatchObject({ outcomes: { cpu: { kind: 'no-data' } } });
    expect(server.callers).toEqual(['first', 'second']);
  });

  test('by a broken one changes nothing', async () => {
    const { collector } = await open();
    await replace('key', 'garbage');
    await until(() => scene.events().includes('collection.certificate-not-reloaded'));
    expect(await collector.run(job)).toMatchObject(cpu);
    expect(server.callers).toEqual(['first']);
  });
});

describe('at the start', () => {
  const file = (name: string) => ({ file: join(folder, name) });

  test('no certificate at all is refused with the keys that configure one', async () => {
    await expect(open({ key: null, cert: null })).rejects.toThrow(
      'log-cache over gRPC needs metricCollector.tls.key_file and metricCollector.tls.cert_file; over HTTPS it needs metricCollector.uaa.url',
    );
  });

  test('a file that cannot be read is named with its place in the configuration', async () => {
    await expect(open()).rejects.toThrow(
      /^log-cache over gRPC cannot use metricCollector\.tls: Cannot read the private key from .*client\.key: .*ENOENT/,
    );
    const { key, chain } = await identity('eventgenerator');
    await replace('key', key);
    await replace('crt', chain);
    await expect(open({ ca: file('ca.crt') })).rejects.toThrow(
      /metricCollector\.tls: Cannot read the trusted certificates in .*ca\.crt: .*ENOENT/,
    );
  });

  test('what OpenSSL does not take is refused at once, not by every job', async () => {
    const { key, chain } = await identity('eventgenerator');
    await replace('key', key);
    await replace('crt', `${chain}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
    await expect(open()).rejects.toThrow(/metricCollector\.tls: .*client\.crt/);
  });
});

test('a log-cache that cannot be used is told soon after the start, with the cause', async () => {
  const stranger = await createCertificateAuthority('Stranger CA');
  const { key, chain } = await stranger.issue({ commonName: 'stranger' });
  const { collector, health } = await open({ key: { pem: key }, cert: { pem: chain } });
  for (let i = 0; i < 3; i++) expect(await collector.run(job)).toMatchObject({ failure: 'connection' });
  expect(scene.lines).toEqual([
    {
      level: 'error',
      event: 'collection.log-cache-serves-no-app',
      message: expect.stringContaining(
        'log-cache served none of the last 3 jobs: there is no connection to log-cache: ',
      ),
      data: { failure: 'connection', failures: 3 },
    },
  ]);
  expect(health.isUp()).toBe(false);
});

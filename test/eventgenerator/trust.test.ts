import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UnauthorizedJob } from '../../src/collection/pool/job.js';
import { openLogCacheCollector, type LogCacheCollectorConfig } from '../../src/collection/open-collection.js';
import { openScalingEngine } from '../../src/scaling-engine/open-scaling-engine.js';
import type { ProcessContext } from '../../src/observability/process-context.js';
import type { Config, TlsConfig } from '../../src/config/config.js';
import { msToNs } from '../../src/util/clock.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, standardAccounts, type Platform } from '../platform/platform.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { makeScene, type Scene } from './scene.js';
import { triggerFor } from '../evaluation/examples.js';

/* Who is trusted, from the configuration to the handshake, against all servers of the miniature platform. */

const noTls: TlsConfig = { key: null, cert: null, ca: null };
const trigger = triggerFor('shop');

let platform: Platform;
let identity: IssuedCertificate;
let folder: string;
let otherCa: string;
let absent: string;
const scenes: Scene[] = [];

beforeAll(async () => {
  platform = await startPlatform({
    apps: [{ guid: 'shop', load: constantLoad({ requestsPerSecond: 50, cpuPercent: 100 }) }],
    clients: {
      [standardAccounts.clientId]: {
        secret: standardAccounts.clientSecret,
        grants: ['client_credentials'],
        authorities: ['logs.admin'],
      },
      limited: { secret: 'limited', grants: ['client_credentials'], authorities: ['cloud_controller.read'] },
    },
  });
  identity = await platform.issueCertificate('eventgenerator');
  otherCa = (await createCertificateAuthority('Other CA')).cert;
  folder = await mkdtemp(join(tmpdir(), 'trust-'));
  absent = join(folder, 'absent');
});
afterEach(async () => {
  for (const scene of scenes.splice(0)) await scene.releasers.releaseAll();
});
afterAll(async () => {
  await platform.stop();
  await rm(folder, { recursive: true });
});

function scene(trust: ProcessContext['trust']): Scene {
  const made = makeScene(trust);
  scenes.push(made);
  return made;
}

const aggregator = { metricPollerCount: 20 };

function restConfig(
  tls: TlsConfig = noTls,
  uaa: Partial<NonNullable<Config['logCache']['uaa']>> = {},
): LogCacheCollectorConfig {
  return {
    aggregator,
    logCache: {
      url: platform.urls.logCache,
      tls,
      uaa: {
        url: platform.urls.uaa,
        clientId: standardAccounts.clientId,
        clientSecret: standardAccounts.clientSecret,
        grant: { type: 'client_credentials' },
        skipSslValidation: false,
        ...uaa,
      },
    },
  };
}

/** Reads and posts once: the failures, or what was answered. */
async function ask(trust: ProcessContext['trust'], config = restConfig()) {
  const { context, releasers, lines } = scene(trust);
  const { collector } = await openLogCacheCollector(config, context, releasers);
  const { key, chain } = identity;
  const scalingEngine = await openScalingEngine(
    {
      scalingEngine: {
        url: platform.urls.scalingEngine,
        tls: { key: { pem: key }, cert: { pem: chain }, ca: null },
      },
      httpClientTimeoutMs: 10_000,
    },
    context,
    releasers,
  );
  const read = await collector.run(readJob());
  const post = await scalingEngine.post(trigger);
  return {
    read: read.kind === 'failed' ? read.failure : read.kind,
    post: post.kind === 'failed' ? post.fault : 'answered',
    lines,
  };
}

function readJob(): UnauthorizedJob {
  const endNs = msToNs(Date.now());
  return {
    kind: 'read',
    appId: 'shop',
    startNs: endNs - 120_000_000_000n,
    endNs,
    gaugeTypes: ['cpu'],
    presenceSinceNs: 0n,
    settled: null,
  };
}

async function write(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe('UAA, log-cache and the scaling engine are trusted', () => {
  test("where their authority stands only in the system's store", async () => {
    const systemBundle = await write('bundle.crt', `# roots\n${otherCa}\n${platform.ca}\n`);
    expect(await ask({ systemBundle })).toMatchObject({ read: 'read', post: 'answered' });
  });

  test('where it stands only in CF_SYSTEM_CERT_PATH', async () => {
    await write('system/1.crt', otherCa);
    await write('system/2.crt', platform.ca);
    const trust = { systemBundle: absent, systemCertPath: join(folder, 'system') };
    expect(await ask(trust)).toMatchObject({ read: 'read', post: 'answered' });
  });

  test('and nowhere else', async () => {
    expect(await ask({ systemBundle: absent })).toMatchObject({ read: 'no-token', post: 'no-connection' });
  });
});

describe('over HTTPS the files of metricCollector.tls', () => {
  test('are used where they help: the authority of ca_file is trusted besides the system’s', async () => {
    const ca = { file: await write('ca.crt', platform.ca) };
    const { read } = await ask({ systemBundle: absent }, restConfig({ ...noTls, ca }));
    expect(read).toBe('read');
  });

  test('are not needed, as in Go: those that cannot be read are passed over', async () => {
    const systemBundle = await write('bundle.crt', platform.ca);
    const file = { file: absent };
    const { read, lines } = await ask({ systemBundle }, restConfig({ key: file, cert: file, ca: file }));
    expect(read).toBe('read');
    expect(lines).toContainEqual({
      level: 'info',
      event: 'collection.log-cache-authority-not-used',
      data: { key: 'metricCollector.tls.ca_file', cause: expect.stringContaining(absent) },
    });
  });
});

test('over gRPC the authority of ca_file alone is trusted, or where there is none the system’s', async () => {
  const { key, chain } = identity;
  const readWith = async (trust: ProcessContext['trust'], ca: string | null) => {
    const tls = { key: { pem: key }, cert: { pem: chain }, ca: ca === null ? null : { pem: ca } };
    const { context, releasers } = scene(trust);
    const logCache = { url: platform.logCacheGrpc, tls, uaa: null };
    const { collector } = await openLogCacheCollector({ logCache, aggregator }, context, releasers);
    const result = await collector.run(readJob());
    return result.kind === 'failed' ? result.failure : result.kind;
  };
  const systemBundle = await write('bundle.crt', platform.ca);
  expect(await readWith({ systemBundle: absent }, platform.ca)).toBe('read');
  expect(await readWith({ systemBundle }, null)).toBe('read');
  expect(await readWith({ systemBundle }, otherCa)).toBe('connection');
});

test('a client without the scope is told soon, with its name and what it lacks', async () => {
  const systemBundle = await write('bundle.crt', platform.ca);
  const { context, releasers, lines } = scene({ systemBundle });
  const config = restConfig(noTls, { clientId: 'limited', clientSecret: 'limited' });
  const { collector } = await openLogCacheCollector(config, context, releasers);
  for (let i = 0; i < 3; i++) {
    expect(await collector.run(readJob())).toMatchObject({ failure: 'unauthorized' });
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines.find(({ event }) => event === 'collection.log-cache-refuses-every-app')).toMatchObject({
    message: expect.stringMatching(
      /^The token of UAA client "limited" lacks the scope logs\.admin or doppler\.firehose \(it has cloud_controller\.read\)/,
    ),
  });
});

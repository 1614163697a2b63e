import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  createScalingEngineClient,
  type ScalingEngineClient,
} from '../../src/scaling-engine/scaling-engine-client.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { openKeyPair, type KeyPair } from '../../src/tls/key-pair.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { ManualClock } from '../support/manual-clock.js';
import { sendJson, startHttpsServer, type HttpsServer } from '../tls/https-server.js';
import { RecordingLogger } from '../tls/recording-logger.js';
import { triggerFor } from '../evaluation/examples.js';

const trigger = triggerFor('an-app');
const ignored = { app_id: 'an-app', status: 2, adjustment: 0, cool_down_expired_at: 0 };

let folder: string;
let authority: CertificateAuthority;
let engine: HttpsServer;
let clock: ManualClock;
let logger: RecordingLogger;
let keyPair: KeyPair;
let client: ScalingEngineClient;
/** Who posted, by the common name of the client certificate. */
let callers: string[];
/** Holds back the answers of requests that arrive while it is set. */
let held: ServerResponse[] | null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rotation-'));
  authority = await createCertificateAuthority('Diego CA');
  const { key, chain } = await authority.issue({ commonName: 'engine', ipAddresses: ['127.0.0.1'] });
  callers = [];
  held = null;
  engine = await startHttpsServer(
    { key, cert: chain, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      lastSocket = request.socket as TLSSocket;
      callers.push(String(lastSocket.getPeerCertificate().subject.CN));
      if (held) held.push(response);
      else sendJson(response, 200, ignored);
    },
  );
  // Connections end because the client closes them, and for no other reason.
  engine.server.keepAliveTimeout = 0;
  await replace('key', (await identity('first')).key);
  await replace('crt', lastIdentity.chain);
  clock = new ManualClock(Date.now());
  logger = new RecordingLogger();
  keyPair = await openKeyPair({
    key: { file: join(folder, 'instance.key') },
    cert: { file: join(folder, 'instance.crt') },
    name: 'scaling_engine',
    clock,
    logger,
    metrics: createMetrics(),
  });
  client = createScalingEngineClient({
    url: engine.url,
    keyPair,
    roots: fixedAuthorities([authority.cert]),
    timeoutMs: 5000,
    clock,
  });
});
afterEach(async () => {
  await client.close();
  keyPair.close();
  await engine.close();
  await rm(folder, { recursive: true });
});

let lastSocket: TLSSocket | undefined;
let lastIdentity: { key: string; chain: string };

async function identity(commonName: string) {
  return (lastIdentity = await authority.issue({ commonName }));
}

async function replace(kind: 'key' | 'crt', content: string): Promise<void> {
  const path = join(folder, `instance.${kind}`);
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('a certificate rotated under load, key first, causes no failed trigger', async () => {
  const results: TriggerResult[] = [];
  let loaded = true;
  const load = Array.from({ length: 8 }, async () => {
    while (loaded) results.push(await client.post(trigger));
  });
  await until(() => results.length > 20);

  const first = keyPair.current();
  const second = await identity('second');
  await replace('key', second.key);
  await until(() => results.length > 60);
  expect(keyPair.current()).toBe(first);
  await replace('crt', second.chain);
  await until(() => keyPair.current().cert === second.chain);
  const after = results.length;
  await until(() => results.length > after + 20);
  loaded = false;
  await Promise.all(load);

  expect(results.filter((result) => result.kind !== 'ignored')).toEqual([]);
  expect(new Set(callers)).toEqual(new Set(['first', 'second']));
  expect(callers.at(-1)).toBe('second');
  expect(logger.events()).toEqual(['certificate-reloaded']);
});

test('a trigger under way finishes on its old connection, which is closed then', async () => {
  held = [];
  const underWay = client.post(trigger);
  await until(() => held?.length === 1);

  const second = await identity('second');
  const changed = new Promise<void>((resolve) => keyPair.onChange(resolve));
  await replace('key', second.key);
  await replace('crt', second.chain);
  await changed;

  const [response] = held;
  held = null;
  expect(await client.post(trigger)).toEqual({ kind: 'ignored' });
  if (!response) throw new Error('nothing was held');
  const closed = new Promise((resolve) => response.socket?.once('close', resolve));
  sendJson(response, 200, ignored);
  expect(await underWay).toEqual({ kind: 'ignored' });
  await closed;
  expect(callers).toEqual(['first', 'second']);
});

test('idle connections with the old certificate are closed at once', async () => {
  await client.post(trigger);
  const idle = lastSocket;
  const closed = new Promise((resolve) => idle?.once('close', resolve));
  const second = await identity('second');
  await replace('key', second.key);
  await replace('crt', second.chain);
  await closed;
  expect(await client.post(trigger)).toEqual({ kind: 'ignored' });
  expect(callers).toEqual(['first', 'second']);
});

test('closing the client closes its idle connections', async () => {
  await client.post(trigger);
  const idle = lastSocket;
  const closed = new Promise((resolve) => idle?.once('close', resolve));
  await client.close();
  await closed;
});

test('a broken new pair changes nothing', async () => {
  await replace('key', 'garbage');
  await until(() => logger.events().includes('certificate-not-reloaded'));
  expect(await client.post(trigger)).toEqual({ kind: 'ignored' });
  expect(callers).toEqual(['first']);
});

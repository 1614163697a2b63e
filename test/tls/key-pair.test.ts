import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { openKeyPair, type KeyPair } from '../../src/tls/key-pair.js';
import {
  createCertificateAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import { RecordingLogger } from './recording-logger.js';

const minute = 60_000;

let folder: string;
let authority: CertificateAuthority;
let clock: ManualClock;
let logger: RecordingLogger;
let metrics: Metrics;
let opened: KeyPair[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'key-pair-'));
  authority = await createCertificateAuthority();
  clock = new ManualClock(Date.now());
  logger = new RecordingLogger();
  metrics = createMetrics();
  opened = [];
});
afterEach(async () => {
  for (const pair of opened) pair.close();
  await rm(folder, { recursive: true });
});

const keyFile = () => join(folder, 'instance.key');
const certFile = () => join(folder, 'instance.crt');

/** As Diego does it: a new file, renamed over the old one. */
async function replace(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

async function write(pair: IssuedCertificate): Promise<void> {
  await replace(keyFile(), pair.key);
  await replace(certFile(), pair.chain);
}

async function open(): Promise<KeyPair> {
  const pair = await openKeyPair({
    key: { file: keyFile() },
    cert: { file: certFile() },
    name: 'scaling_engine',
    clock,
    logger,
    metrics,
  });
  opened.push(pair);
  return pair;
}

function nextChange(pair: KeyPair): Promise<ReturnType<KeyPair['current']>> {
  return new Promise((resolve) => {
    const stop = pair.onChange(() => {
      stop();
      resolve(pair.current());
    });
  });
}

async function expiryMetric(): Promise<number | undefined> {
  const { values } = await metrics.certificateExpirySeconds.get();
  return values.find((value) => value.labels.certificate === 'scaling_engine')?.value;
}

test('the pair of the files is read, with its chain, and its expiry exported', async () => {
  const intermediate = await authority.intermediate('instance identity');
  const notAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 60 * minute);
  const issued = await intermediate.issue({ commonName: 'guid', notAfter });
  await write(issued);
  const pair = await open();
  expect(pair.current()).toEqual({ key: issued.key, cert: issued.chain, expiresMs: notAfter.getTime() });
  expect(await expiryMetric()).toBe(notAfter.getTime() / 1000);
});

test('a rotated pair comes into use as soon as the files change, without polling', async () => {
  await write(await authority.issue({ commonName: 'first' }));
  const pair = await open();
  const second = await authority.issue({ commonName: 'second' });
  const changed = nextChange(pair);
  await write(second);
  expect(await changed).toMatchObject({ key: second.key });
  expect(pair.current()).toMatchObject({ key: second.key, cert: second.chain });
  expect(logger.events()).toEqual(['certificate-reloaded']);
});

test('between key and certificate the old pair stays in use, and nothing is logged', async () => {
  const first = await authority.issue({ commonName: 'first' });
  await write(first);
  const pair = await open();
  const second = await authority.issue({ commonName: 'second' });
  await replace(keyFile(), second.key);
  await reachTimerBelow(1000);
  expect(pair.current().key).toBe(first.key);
  const changed = nextChange(pair);
  await replace(certFile(), second.chain);
  expect((await changed).cert).toBe(second.chain);
  expect(logger.events()).toEqual(['certificate-reloaded']);
});

/** Waits for real file events until the next look at the files is nearer than this; time stands still meanwhile. */
async function reachTimerBelow(ms: number): Promise<void> {
  while ((clock.nextTimerInMs ?? Infinity) >= ms) await new Promise((resolve) => setImmediate(resolve));
}

test('a pair that stays mismatched is reported once, and the old pair kept', async () => {
  const first = await authority.issue({ commonName: 'first' });
  await write(first);
  const pair = await open();
  await replace(certFile(), (await authority.issue({ commonName: 'second' })).chain);
  await reachTimerBelow(1000);
  while (logger.events().length === 0) await clock.advance(500);
  for (let i = 0; i < 5; i++) await clock.advance(5 * minute);
  expect(pair.current()).toMatchObject({ key: first.key, cert: first.chain });
  expect(logger.events()).toEqual(['certificate-not-reloaded']);
  expect(logger.lines.at(-1)?.message).toMatch(/instance\.key does not belong to .*instance\.crt/);

  const third = await authority.issue({ commonName: 'third' });
  const changed = nextChange(pair);
  await write(third);
  await changed;
  expect(logger.events()).toEqual(['certificate-not-reloaded', 'certificate-reloaded']);
});

test('an expired or broken new pair is reported once and not used', async () => {
  const first = await authority.issue({ commonName: 'first' });
  await write(first);
  const pair = await open();
  const errors = () => logger.lines.filter((line) => line.level === 'error').map((line) => line.message);
  await replace(certFile(), 'garbage');
  while (errors().length < 1) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(10 * minute);
  expect(errors()).toHaveLength(1);
  expect(errors()[0]).toMatch(/instance\.crt holds no PEM certificate/);

  await replace(certFile(), first.chain);
  while (!logger.events().includes('certificate-recovered'))
    await new Promise((resolve) => setImmediate(resolve));
  expect(pair.current()).toMatchObject({ key: first.key, cert: first.chain });
});

test('polling finds what the file system did not report, more often near expiry', async () => {
  const notAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 60 * minute);
  await write(await authority.issue({ commonName: 'first', notAfter }));
  await open();
  expect(clock.nextTimerInMs).toBe(minute);
  clock.jumpWallClock(40 * minute);
  await clock.advance(minute);
  await clock.timersPending(1);
  expect(clock.nextTimerInMs).toBe(10_000);
});

test('a start in the middle of a rotation waits for the certificate', async () => {
  const first = await authority.issue({ commonName: 'first' });
  const second = await authority.issue({ commonName: 'second' });
  await write(first);
  await replace(keyFile(), second.key);
  const pair = open();
  await clock.timersPending(1);
  await replace(certFile(), second.chain);
  await clock.advance(500);
  expect((await pair).current().cert).toBe(second.chain);
});

test('material that cannot be used at start is an error that names file and cause', async () => {
  const good = await authority.issue({ commonName: 'good' });
  const expired = await authority.issue({ commonName: 'expired', notAfter: new Date(Date.now() - 1000) });

  await expect(open()).rejects.toThrow(/private key from .*instance\.key: ENOENT/);
  await write(expired);
  await expect(open()).rejects.toThrow(/instance\.crt expired at/);
  await write({ ...good, key: 'garbage' });
  await expect(open()).rejects.toThrow(/instance\.key holds no usable PEM private key/);
  await write({ ...good, chain: 'garbage' });
  await expect(open()).rejects.toThrow(/instance\.crt holds no PEM certificate/);

  await write({ ...good, key: expired.key });
  const mismatched = open();
  const outcome = expect(mismatched).rejects.toThrow(/instance\.key does not belong to .*instance\.crt/);
  for (let i = 0; i < 4; i++) {
    await clock.timersPending(1);
    await clock.advance(4000);
  }
  await outcome;
  expect(clock.pendingTimers).toBe(0);
});

test('material from a service binding is used as it is, and needs no watching', async () => {
  const issued = await authority.issue({ commonName: 'bound' });
  const pair = await openKeyPair({
    key: { pem: issued.key },
    cert: { pem: issued.chain },
    name: 'scaling_engine',
    clock,
    logger,
    metrics,
  });
  expect(pair.current().cert).toBe(issued.chain);
  expect(clock.pendingTimers).toBe(0);
  const mismatched = { key: { pem: issued.key }, cert: { pem: authority.cert } };
  await expect(openKeyPair({ ...mismatched, name: 'x', clock, logger, metrics })).rejects.toThrow(
    /does not belong/,
  );
});

test('a closed pair stays usable and looks no more', async () => {
  const first = await authority.issue({ commonName: 'first' });
  await write(first);
  const pair = await open();
  pair.close();
  expect(clock.pendingTimers).toBe(0);
  expect(pair.current()).toMatchObject({ key: first.key, cert: first.chain });
});

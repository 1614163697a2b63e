import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  openCaCertificates,
  type CaCertificates,
  type CaCertificatesOptions,
} from '../../src/tls/ca-certificates.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import { RecordingLogger } from './recording-logger.js';

const minute = 60_000;

let folder: string;
let clock: ManualClock;
let logger: RecordingLogger;
let opened: CaCertificates[];
let first: string;
let second: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'authorities-'));
  clock = new ManualClock(Date.now());
  logger = new RecordingLogger();
  opened = [];
  first = normalized((await createCertificateAuthority('First CA')).cert);
  second = normalized((await createCertificateAuthority('Second CA')).cert);
});
afterEach(async () => {
  for (const authorities of opened) authorities.close();
  expect(clock.pendingTimers).toBe(0);
  await rm(folder, { recursive: true });
});

const normalized = (pem: string) => `${pem.trim()}\n`;

async function replace(name: string, content: string): Promise<{ file: string }> {
  const file = join(folder, name);
  await writeFile(`${folder}.new`, content);
  await rename(`${folder}.new`, file);
  return { file };
}

async function open(options: Partial<CaCertificatesOptions>): Promise<CaCertificates> {
  const trust = { systemBundle: join(folder, 'absent.crt') };
  const authorities = await openCaCertificates({
    name: 'server.tls.ca_file',
    ca: null,
    trust,
    clock,
    logger,
    metrics: createMetrics(),
    ...options,
  });
  opened.push(authorities);
  return authorities;
}

function nextChange(authorities: CaCertificates): Promise<void> {
  return new Promise((resolve) => {
    const stop = authorities.onChange(() => {
      stop();
      resolve();
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const count = (event: string) => logger.events().filter((each) => each === event).length;

test('a ca_file alone is trusted, not the system, and followed as soon as it is replaced', async () => {
  const trust = { systemBundle: (await replace('bundle.crt', second)).file };
  const authorities = await open({ ca: await replace('ca.crt', first), trust });
  expect(authorities.current()).toEqual([first]);
  const changed = nextChange(authorities);
  await replace('ca.crt', second + first);
  await changed;
  expect(authorities.current()).toEqual([second, first]);
  expect(logger.events()).toEqual(['authorities-reloaded']);
});

test('a change that the file system does not report is found by polling', async () => {
  await mkdir(join(folder, 'v1'));
  const ca = await replace('v1/ca.crt', first);
  const authorities = await open({ ca });
  // The folder itself is replaced: its watch sees nothing of the new one.
  await rename(join(folder, 'v1'), join(folder, 'old'));
  await mkdir(join(folder, 'v1'));
  await replace('v1/ca.crt', second);
  const changed = nextChange(authorities);
  await clock.advance(minute);
  await changed;
  expect(authorities.current()).toEqual([second]);
});

test('a ca_file that became unusable leaves the last good one in force, with a line a minute until it is good again', async () => {
  const ca = await replace('ca.crt', first);
  const authorities = await open({ ca });
  await replace('ca.crt', 'no certificate');
  await until(() => count('authorities-not-reloaded') === 1);
  expect(authorities.current()).toEqual([first]);
  expect(logger.lines.at(-1)).toMatchObject({
    level: 'error',
    message: expect.stringContaining(`${ca.file} holds no PEM certificate`),
    data: { authorities: 'server.tls.ca_file' },
  });
  await clock.timersPending(1);
  await clock.advance(minute);
  await until(() => count('authorities-not-reloaded') === 2);
  await replace('ca.crt', first);
  await until(() => count('authorities-reloaded') === 1);
  expect(authorities.current()).toEqual([first]);
});

test('without a ca_file the system is followed: authorities that are added, removed, and files that become unusable', async () => {
  const systemCertPath = join(folder, 'system');
  await mkdir(systemCertPath);
  await replace('system/1.crt', first);
  const trust = { systemBundle: join(folder, 'absent.crt'), systemCertPath };
  const authorities = await open({ trust });
  expect(authorities.current()).toContain(first);

  let changed = nextChange(authorities);
  await replace('system/2.crt', second);
  await changed;
  expect(authorities.current()).toEqual(expect.arrayContaining([first, second]));

  await replace('system/1.crt', 'garbage');
  await until(() => count('system-certificates-skipped') > 0);
  expect(authorities.current()).toContain(first);

  changed = nextChange(authorities);
  await rm(join(systemCertPath, '1.crt'));
  await changed;
  expect(authorities.current()).not.toContain(first);
  expect(authorities.current()).toContain(second);
});

test('a ca_file beside the system is passed over until it can be used', async () => {
  const systemBundle = (await replace('bundle.crt', first)).file;
  const ca = { file: join(folder, 'ca.crt') };
  const authorities = await open({ ca, trust: { systemBundle }, besidesSystem: true });
  expect(authorities.current()).toContain(first);
  await clock.advance(minute);
  await clock.timersPending(1);
  const changed = nextChange(authorities);
  await replace('ca.crt', second);
  await changed;
  expect(authorities.current()).toEqual(expect.arrayContaining([first, second]));
  expect(logger.events()).toEqual(['log-cache-authority-not-used', 'authorities-reloaded']);
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, rootCertificates } from 'node:tls';
import { describeConnectionError } from '../../src/util/connection-error.js';
import { readCaCertificates } from '../../src/tls/pem.js';
import { systemRoots } from '../../src/tls/trust.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { startHttpsServer, type HttpsServer } from './https-server.js';
import { RecordingLogger } from './recording-logger.js';

let folder: string;
let authority: CertificateAuthority;
let other: CertificateAuthority;
let server: HttpsServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trust-'));
  authority = await createCertificateAuthority('Platform CA');
  other = await createCertificateAuthority('Other CA');
  const { key, chain } = await authority.issue({ commonName: 'server', ipAddresses: ['127.0.0.1'] });
  server = await startHttpsServer({ key, cert: chain }, (_request, response) => response.end());
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function write(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

/** Whether a real handshake with the server succeeds under these roots; the code of the failure otherwise. */
async function handshake(ca: readonly string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(server.url).port), ca: [...ca] });
  try {
    await once(socket, 'secureConnect');
    return 'trusted';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    socket.destroy();
  }
}

test('an authority that stands only in the system store is trusted', async () => {
  const logger = new RecordingLogger();
  const systemBundle = await write('bundle-a.crt', `# roots\n${other.cert}\n${authority.cert}\n`);
  expect(await handshake(await systemRoots({ systemBundle, logger })())).toBe('trusted');
  expect(logger.events()).toEqual([]);
});

test('an authority that stands only in CF_SYSTEM_CERT_PATH is trusted', async () => {
  await write('certs-a/1.crt', other.cert);
  await write('certs-a/2.crt', authority.cert);
  const systemBundle = join(folder, 'absent.crt');
  const logger = new RecordingLogger();
  const roots = await systemRoots({
    systemBundle,
    systemCertPath: join(folder, 'certs-a'),
    logger,
  })();
  expect(await handshake(roots)).toBe('trusted');
  expect(logger.events()).toEqual([]);
});

test('an authority that stands nowhere is not trusted', async () => {
  const systemBundle = await write('bundle-b.crt', other.cert);
  const roots = await systemRoots({ systemBundle, logger: new RecordingLogger() })();
  expect(await handshake(roots)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('authorities of a file or of a service binding are trusted', async () => {
  const file = await write('ca.crt', other.cert);
  const roots = await readCaCertificates({ file });
  expect(roots).toHaveLength(1);
  expect(await handshake(roots)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  expect(await handshake(await readCaCertificates({ pem: authority.cert }))).toBe('trusted');
});

test('the roots that Node was built with stay trusted, and duplicates are dropped', async () => {
  const systemBundle = await write('bundle-d.crt', [...rootCertificates, other.cert, other.cert].join('\n'));
  const roots = await systemRoots({ systemBundle, logger: new RecordingLogger() })();
  expect(roots).toHaveLength(new Set(rootCertificates).size + 1);
  expect(roots.map((pem) => new X509Certificate(pem).fingerprint256)).toContain(
    new X509Certificate(other.cert).fingerprint256,
  );
});

test('garbage among the system certificates is skipped with one line a file, the rest is used', async () => {
  await write('certs-b/a-text.crt', 'no certificate');
  await write(
    'certs-b/b-broken.crt',
    `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${authority.cert}`,
  );
  await mkdir(join(folder, 'certs-b', 'c-folder'));
  const logger = new RecordingLogger();
  const roots = await systemRoots({
    systemBundle: join(folder, 'absent.crt'),
    systemCertPath: join(folder, 'certs-b'),
    logger,
  })();
  expect(await handshake(roots)).toBe('trusted');
  expect(logger.events()).toEqual([
    'system-certificates-skipped',
    'system-certificates-skipped',
    'system-certificates-unreadable',
  ]);
});

test('a CF_SYSTEM_CERT_PATH that is not there is reported and harmless', async () => {
  const logger = new RecordingLogger();
  const systemCertPath = join(folder, 'absent');
  const roots = await systemRoots({
    systemBundle: join(folder, 'absent.crt'),
    systemCertPath,
    logger,
  })();
  expect(roots).toHaveLength(new Set(rootCertificates).size);
  expect(logger.lines.find((line) => line.level === 'error')?.data).toEqual({ path: systemCertPath });
});

test('a configured authority that cannot be used is an error that names file and cause', async () => {
  const empty = await write('empty.crt', '');
  await expect(readCaCertificates({ file: empty })).rejects.toThrow(`${empty} holds no PEM certificate`);
  const absent = join(folder, 'absent.crt');
  await expect(readCaCertificates({ file: absent })).rejects.toThrow(/absent\.crt: ENOENT/);
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  await expect(readCaCertificates({ pem: broken })).rejects.toThrow(/the service binding.*parsed/);
});

test('the system is read once for all who ask, and again when an authority was added or replaced', async () => {
  const systemBundle = await write('bundle-r.crt', other.cert);
  const systemCertPath = join(folder, 'certs-r');
  await mkdir(systemCertPath);
  const roots = systemRoots({ systemBundle, systemCertPath, logger: new RecordingLogger() });
  const first = await roots();
  expect(await roots()).toBe(first);
  expect(await handshake(first)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  await write('certs-r/added.crt', authority.cert);
  expect(await handshake(await roots())).toBe('trusted');
  await write('certs-r/added.crt', `# replaced\n${other.cert}`);
  expect(await handshake(await roots())).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('for those who ask repeatedly the last good certificates of a file stay in force, and each fault is said once', async () => {
  const systemBundle = await write('bundle-s.crt', authority.cert);
  const systemCertPath = join(folder, 'certs-s');
  const logger = new RecordingLogger();
  const roots = systemRoots({ systemBundle, systemCertPath, logger });
  const askThrice = async () => {
    for (let i = 0; i < 3; i++) expect(await handshake(await roots())).toBe('trusted');
    return logger.lines.splice(0).flatMap(({ level, event }) => (level === 'debug' ? [] : [event]));
  };
  expect(await askThrice()).toEqual(['system-certificates-unreadable']);
  await write('certs-s/text.crt', 'no certificate');
  expect(await askThrice()).toEqual(['system-certificates-skipped']);
  await write('bundle-s.crt', 'garbage');
  expect(await askThrice()).toEqual(['system-certificates-skipped']);
  await rm(systemCertPath, { recursive: true });
  expect(await askThrice()).toEqual(['system-certificates-unreadable']);
});

test('an authority that has only the name of the right one is told apart from an unknown one', async () => {
  const namesake = await createCertificateAuthority('Platform CA');
  const ca = await readCaCertificates({ pem: namesake.cert });
  const code = await handshake(ca);
  expect(code).toBe('CERT_SIGNATURE_FAILURE');
  expect(describeConnectionError({ code })).toMatch(/two CAs have one name.*\(CERT_SIGNATURE_FAILURE\)$/);
});

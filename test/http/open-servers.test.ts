import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openServers } from '../../src/http/open-servers.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { cloudFoundryConfig, historyOf } from './support.js';
import { makeScene } from '../eventgenerator/scene.js';

let folder: string;
let pair: IssuedCertificate;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'servers-'));
  pair = await (await createCertificateAuthority()).issue({ commonName: 'eventgenerator' });
});
afterAll(() => rm(folder, { recursive: true }));

/** The refusal to start with this file as an authority: of clients' certificates, and of those in XFCC. */
async function refusals(file: string): Promise<string[]> {
  const ca = { file };
  const tls = { key: { pem: pair.key }, cert: { pem: pair.cert }, ca };
  const noTls = { key: null, cert: null, ca: null };
  const xfcc = { validOrgGuid: 'o', validSpaceGuid: '', ca: null };
  const settings = [
    { apiServer: { port: 0, tls } },
    { healthServer: { port: 0, tls } },
    { cfServer: { port: 0, tls, xfcc } },
    { cfServer: { port: 0, tls: noTls, xfcc: { ...xfcc, ca } } },
  ];
  return Promise.all(
    settings.map(async (setting) => {
      const { context, releasers } = makeScene();
      const parts = { history: historyOf(), lifecycle: () => 'running' as const, readinessChecks: [] };
      const refusal = await openServers(cloudFoundryConfig(setting), context, releasers, parts).then(
        () => 'started',
        (error: Error) => error.message,
      );
      await releasers.releaseAll();
      return refusal;
    }),
  );
}

const keys = [
  'server.tls.ca_file',
  'health.server_config.tls.ca_file',
  'cf_server.tls.ca_file',
  'cf_server.xfcc.ca_file',
];

describe('a ca_file that cannot be used ends the start, and the error names key, file and cause:', () => {
  test('no certificate', async () => {
    const file = join(folder, 'text.crt');
    await writeFile(file, 'no certificate');
    expect(await refusals(file)).toEqual(
      keys.map((key) => expect.stringMatching(`^${key}: ${file} holds no PEM certificate`) as unknown),
    );
  });

  test('one of several cannot be parsed', async () => {
    const file = join(folder, 'broken.crt');
    await writeFile(file, `${pair.cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
    expect(await refusals(file)).toEqual(
      keys.map((key) => expect.stringMatching(`^${key}: .*${file} cannot be used: 1 of them`) as unknown),
    );
  });

  test('a pipe that nobody writes to', async () => {
    const file = join(folder, 'pipe.crt');
    await promisify(execFile)('mkfifo', [file]);
    expect(await refusals(file)).toEqual(
      keys.map((key) => expect.stringMatching(`^${key}: .*${file} is not a file`) as unknown),
    );
  });

  test('a file beyond all bundles of authorities', async () => {
    const file = join(folder, 'large.crt');
    await writeFile(file, pair.cert + '\n'.repeat(5 * 1024 * 1024));
    expect(await refusals(file)).toEqual(
      keys.map((key) => expect.stringMatching(`^${key}: .* bytes, more than the `) as unknown),
    );
  });
});

test.each(['username', 'password'] as const)(
  'a bcrypt hash of the %s that takes too long to check ends the start, with the time measured',
  async (half) => {
    const startWith = async (cost: string) => {
      const credentials = { username: { plain: 'u' }, password: { plain: 'p' } };
      const basicAuth = { ...credentials, [half]: { bcrypt: `$2b$${cost}$${'a'.repeat(53)}` } };
      const { context, releasers } = makeScene();
      const config = cloudFoundryConfig({ health: { basicAuth, readinessEnabled: true } });
      const parts = { history: historyOf(), lifecycle: () => 'running' as const, readinessChecks: [] };
      try {
        await openServers(config, context, releasers, parts);
      } finally {
        await releasers.releaseAll();
      }
    };
    await startWith('14');
    await expect(startWith('15')).rejects.toThrow(
      new RegExp(
        `^health\\.basic_auth\\.${half}_hash has the cost 15: one check would take about \\d+\\.\\d s`,
      ),
    );
  },
);

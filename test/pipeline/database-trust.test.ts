import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables } from '../support/autoscaler-tables.js';
import { createCertificateAuthority } from '../support/certificates.js';
import {
  createDatabase,
  startPostgres,
  type PostgresServer,
  type TestDatabase,
} from '../support/postgres.js';
import { killProcesses, startProcess, type EventgeneratorProcess } from './process.js';

/* A database with sslmode=verify-full whose authority only the platform names, for every command as an operator runs it. */

let folder: string;
let server: PostgresServer;
let database: TestDatabase;
let platform: Platform;
let written: WrittenConfig;
let systemCerts: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'database-trust-'));
  const ca = await createCertificateAuthority('Database CA');
  const identity = await ca.issue({ commonName: 'db', dnsNames: ['localhost'] });
  server = await startPostgres({
    settings: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    files: { 'server.crt': identity.cert, 'server.key': identity.key },
    hba: ['host all postgres 127.0.0.1/32 trust'],
  });
  database = await createDatabase(server.url);
  await createAutoscalerTables(database.pool);
  platform = await startPlatform({ apps: [] });
  const url = new URL(database.url);
  url.hostname = 'localhost';
  url.searchParams.set('sslmode', 'verify-full');
  written = await writeEventgeneratorConfig(join(folder, 'eventgenerator.yml'), {
    platform,
    policyDbUrl: url.href,
  });
  systemCerts = join(folder, 'system');
  await mkdir(systemCerts);
  await writeFile(join(systemCerts, 'platform.crt'), ca.cert);
});
afterEach(killProcesses);
afterAll(async () => {
  await platform.stop();
  await database.drop();
  await server.stop();
  await rm(folder, { recursive: true });
});

const start = (env: NodeJS.ProcessEnv, ...command: string[]): EventgeneratorProcess =>
  startProcess([...command, '-c', written.file], env);
const trusting = (...command: string[]) => start({ CF_SYSTEM_CERT_PATH: systemCerts }, ...command);

test('CF_SYSTEM_CERT_PATH is enough for migrate, the server with its own tables, and members', async () => {
  const migrated = trusting('migrate');
  expect(await migrated.ended).toBe(0);
  expect(migrated.output).toEqual([
    'created eventgenerator_member, eventgenerator_trigger, eventgenerator_decision, eventgenerator_decision_change',
  ]);

  const eventgenerator = start({ CF_SYSTEM_CERT_PATH: systemCerts, EVENTGENERATOR_POOL_MODE: 'elastic' });
  await eventgenerator.logged('eventgenerator.ownership.member');
  const readiness = await fetch(`http://127.0.0.1:${written.ports.health}/health/readiness`);
  expect(await readiness.json()).toMatchObject({
    checks: expect.arrayContaining([
      { name: 'policy_db', type: 'database', status: 'UP' },
      { name: 'appmetrics_db', type: 'database', status: 'UP' },
    ]),
  });
  const members = trusting('members');
  expect(await members.ended).toBe(0);
  expect(members.output[1]).toMatch(/^0 /);
});

test('without it the server is not trusted, and the text says so', async () => {
  for (const command of ['migrate', 'members']) {
    const refused = start({}, command);
    expect(await refused.ended).toBe(1);
    expect(refused.output[0]).toMatch(/no connection to localhost:\d+: .*certificate/);
  }
});

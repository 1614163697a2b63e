import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
import { killProcesses, startProcess } from './process.js';

/* Databases that refuse for reasons that only an operator can mend, met by the process as an operator runs it. */

/**
 * For the process time passes so much faster, so that its half a minute is ten seconds. No more, or its deadlines for a
 * connection would be too short on a busy machine.
 */
const speed = 3;
const hurry = `
  const { setTimeout: wait } = globalThis;
  globalThis.setTimeout = (callback, ms, ...rest) => wait(callback, ms / ${speed}, ...rest);
  const now = performance.now.bind(performance);
  performance.now = () => now() * ${speed};`;
/** Often enough to see every state, and seldom enough to leave the machine to the processes. */
const readinessEveryMs = 100;
const hurried = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hurry)}` };

let folder: string;
let server: PostgresServer;
let database: TestDatabase;
let platform: Platform;
/** Configurations. */
let written = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unusable-'));
  const ca = await createCertificateAuthority('Database CA');
  const identity = await ca.issue({ commonName: 'db', dnsNames: ['localhost'] });
  await writeFile(join(folder, 'other.pem'), (await createCertificateAuthority('Other CA')).cert);
  server = await startPostgres({
    settings: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    files: { 'server.crt': identity.cert, 'server.key': identity.key },
    hba: ['host all postgres 127.0.0.1/32 trust', 'host all secret,late 127.0.0.1/32 scram-sha-256'],
  });
  database = await createDatabase(server.url);
  await createAutoscalerTables(database.pool);
  await database.pool.query("create user secret password 'right'");
  await database.pool.query('create database closed');
  await database.pool.query('revoke connect on database closed from public');
  platform = await startPlatform({ apps: [] });
});
afterEach(killProcesses);
afterAll(async () => {
  await platform.stop();
  await database.drop();
  await server.stop();
  await rm(folder, { recursive: true });
});

function urlWith(changes: Partial<Record<'username' | 'password' | 'pathname' | 'search', string>>): string {
  return Object.assign(new URL(database.url), { search: 'sslmode=disable' }, changes).href;
}

async function configure(policyDbUrl: string, appMetricsDbUrl: string): Promise<WrittenConfig> {
  return writeEventgeneratorConfig(join(folder, `eventgenerator-${written++}.yml`), {
    platform,
    policyDbUrl,
    appMetricsDbUrl,
  });
}

async function readiness({ ports }: WrittenConfig): Promise<number | undefined> {
  const headers = { connection: 'close' };
  return fetch(`http://127.0.0.1:${ports.health}/health/readiness`, { headers }).then(
    ({ status }) => status,
    () => undefined,
  );
}

describe('a database that never works', () => {
  const cases = [
    {
      what: 'a wrong password',
      name: 'policy_db',
      changes: { username: 'secret', password: 'wrong' },
      reason: /password authentication failed for user "secret"/,
    },
    {
      what: 'an unknown database',
      name: 'appmetrics_db',
      changes: { pathname: '/nowhere' },
      reason: /database "nowhere" does not exist/,
    },
    {
      what: 'a user who may not connect',
      name: 'policy_db',
      changes: { username: 'secret', password: 'right', pathname: '/closed' },
      reason: /permission denied for database "closed"/,
    },
    {
      what: 'a certificate of another authority',
      name: 'appmetrics_db',
      changes: { search: 'sslmode=verify-ca&sslrootcert=@other.pem' },
      reason: /certificate|self.signed/,
    },
  ] as const;
  type Case = (typeof cases)[number];
  const runs = new Map<Case, Awaited<ReturnType<typeof runToTheEnd>>>();

  /** The process and what its readiness was while it lived. */
  async function runToTheEnd({ name, changes }: Case) {
    const bad = urlWith(changes).replace('@other', `${folder}/other`);
    const config = await (name === 'policy_db' ? configure(bad, urlWith({})) : configure(urlWith({}), bad));
    const eventgenerator = startProcess(['-c', config.file], hurried);
    const seen = new Set<number | undefined>();
    let hasEnded = false;
    void eventgenerator.ended.then(() => (hasEnded = true));
    while (!hasEnded) {
      seen.add(await readiness(config));
      await sleep(readinessEveryMs);
    }
    seen.delete(undefined);
    return { eventgenerator, seen };
  }

  // At the same time: each waits for half a minute.
  beforeAll(() =>
    Promise.all(cases.map(async (oneCase) => void runs.set(oneCase, await runToTheEnd(oneCase)))),
  );

  test.each(cases)(
    '$what of $name: it is never ready, and ends with code 1 and the reason',
    async (oneCase) => {
      const run = runs.get(oneCase);
      if (!run) throw new Error('not run');
      const { eventgenerator, seen } = run;
      expect(await eventgenerator.ended).toBe(1);
      expect([...seen]).toEqual([503]);
      expect(eventgenerator.lines().map(({ message }) => message)).not.toContain('eventgenerator.started');
      expect(await eventgenerator.logged('eventgenerator.start-failed')).toMatchObject({
        level: 'error',
        data: {
          error: expect.stringMatching(new RegExp(`^${oneCase.name}: .*(${oneCase.reason.source})`)),
        },
      });
    },
  );
});

test('a fault that is mended within half a minute is no reason to end', async () => {
  await database.pool.query("create user late password 'wrong'");
  await database.pool.query('grant select on policy_json to late');
  const url = urlWith({ username: 'late', password: 'right' });
  const config = await configure(url, url);
  const eventgenerator = startProcess(['-c', config.file], hurried);
  await eventgenerator.logged('eventgenerator.database-refuses');
  await database.pool.query("alter user late password 'right'");
  await eventgenerator.logged('eventgenerator.started');
  expect(await readiness(config)).toBe(200);
  // A change of the password later on is an outage as any other.
  await database.pool.query("alter user late password 'wrong'");
  await database.pool.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'late'");
  await eventgenerator.logged('eventgenerator.policy.policies-not-readable');
  expect(await readiness(config)).toBe(200);
  eventgenerator.kill('SIGTERM');
  expect(await eventgenerator.ended).toBe(0);
});

test('a database that can only be read is told apart by readiness, members and migrate', async () => {
  const readOnly = urlWith({ search: 'sslmode=disable&options=-c%20default_transaction_read_only%3Don' });
  const config = await configure(urlWith({}), readOnly);
  const refused = startProcess(['migrate', '-c', config.file]);
  expect(await refused.ended).toBe(1);
  expect(refused.output).toEqual([
    'failed to create tables: cannot execute CREATE TABLE in a read-only transaction',
    expect.stringMatching(/^appmetrics_db is read-only, .* target_session_attrs=read-write/),
  ]);
  const both = await configure(urlWith({}), urlWith({}));
  expect(await startProcess(['migrate', '-c', both.file]).ended).toBe(0);

  const members = startProcess(['members', '-c', config.file]);
  expect(await members.ended).toBe(0);
  expect(members.output).toEqual(['no members', expect.stringMatching(/^appmetrics_db is read-only, /)]);

  const eventgenerator = startProcess(['-c', config.file]);
  await eventgenerator.logged('eventgenerator.started');
  const answer = await fetch(`http://127.0.0.1:${config.ports.health}/health/readiness`);
  expect(await answer.json()).toMatchObject({
    overall_status: 'DOWN',
    checks: expect.arrayContaining([
      { name: 'appmetrics_db', type: 'database', status: 'UP' },
      { name: 'appmetrics_db_writable', type: 'database', status: 'DOWN' },
    ]),
  });
});

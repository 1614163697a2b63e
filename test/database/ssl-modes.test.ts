import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/util/clock.js';
import { openDatabases, type Database, type Databases } from '../../src/database/database.js';
import type { Logger } from '../../src/observability/logger.js';
import { silentLogger } from '../support/silent-logger.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { databaseConfig, noRoots } from '../support/database-config.js';
import { ManualClock } from '../support/manual-clock.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';

let folder: string;
let server: PostgresServer;
let client: IssuedCertificate;
let events: string[] = [];
const opened: Databases[] = [];

/** The server's certificate names `localhost` only, so that 127.0.0.1 is a wrong host name for it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventgenerator-ssl-'));
  const ca = await createCertificateAuthority('Database CA');
  const other = await createCertificateAuthority('Some other CA');
  const identity = await ca.issue({ commonName: 'db', dnsNames: ['localhost'] });
  client = await ca.issue({ commonName: 'certain' });
  await writeFile(join(folder, 'ca.pem'), ca.cert);
  await writeFile(join(folder, 'identity.pem'), identity.cert);
  await writeFile(join(folder, 'other.pem'), other.cert);
  await writeFile(join(folder, 'client.pem'), client.cert);
  await writeFile(join(folder, 'client.key'), client.key);
  server = await startPostgres({
    settings: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: 'ca.crt' },
    files: { 'server.crt': identity.cert, 'server.key': identity.key, 'ca.crt': ca.cert },
    hba: [
      'host all postgres 127.0.0.1/32 trust',
      'hostssl all certain 127.0.0.1/32 cert',
      'hostssl all tlsonly 127.0.0.1/32 trust',
      'hostnossl all plainonly 127.0.0.1/32 trust',
      'hostssl all secret 127.0.0.1/32 scram-sha-256',
    ],
  });
  const admin = await open(server.url);
  for (const user of ['certain', 'tlsonly', 'plainonly', "secret password 'p:w/d'"]) {
    await admin.query(`create user ${user}`, [], { timeoutMs: 5000 });
  }
});
afterEach(async () => {
  events = [];
  await Promise.all(opened.splice(0).map((databases) => databases.close()));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const logger: Logger = {
  ...silentLogger,
  info: (event) => void events.push(event),
  error: (event) => void events.push(event),
  child: () => logger,
};

async function open(url: string, changes: Parameters<typeof databaseConfig>[1] = {}): Promise<Database> {
  const config = databaseConfig(url, changes);
  const databases = await openDatabases(config, config, {
    clock: systemClock,
    logger,
    trustedRoots: noRoots,
  });
  opened.push(databases);
  return databases.policyDb;
}

const url = (user: string, parameters: string, host = '127.0.0.1') =>
  `postgres://${user}@${host}:${server.port}/postgres?${parameters}`;
const inFolder = (parameters: string) => parameters.replaceAll('@', `${folder}/`);

/** Whether the connection was encrypted, or why there was none. */
async function connect(...args: Parameters<typeof open>): Promise<boolean | string> {
  try {
    const database = await open(...args);
    const { rows } = await database.query<{ ssl: boolean }>(
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
      [],
      { timeoutMs: 5000 },
    );
    return rows[0]?.ssl ?? 'no row';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('sslmode against a server with TLS', () => {
  test.each([
    ['disable', 'postgres', 'sslmode=disable', false],
    ['allow takes plain text where it can', 'postgres', 'sslmode=allow', false],
    ['allow takes TLS where it must', 'tlsonly', 'sslmode=allow', true],
    ['prefer takes TLS', 'postgres', 'sslmode=prefer', true],
    ['prefer takes plain text where it must', 'plainonly', 'sslmode=prefer', false],
    ['prefer is the default', 'postgres', '', true],
    ['prefer does not verify', 'postgres', 'sslrootcert=@other.pem', true],
    ['require does not verify', 'postgres', 'sslmode=require', true],
    ['require verifies the chain with a root given', 'postgres', 'sslmode=require&sslrootcert=@ca.pem', true],
    ['verify-ca ignores the host name', 'postgres', 'sslmode=verify-ca&sslrootcert=@ca.pem', true],
    ['verify-ca needs no root', 'postgres', 'sslmode=verify-ca&sslrootcert=@identity.pem', true],
  ])('%s', async (_name, user, parameters, encrypted) => {
    expect(await connect(url(user, inFolder(parameters)))).toBe(encrypted);
  });

  test.each([
    ['disable is refused where TLS is demanded', 'tlsonly', 'sslmode=disable', /no encryption/],
    ['require never falls back to plain text', 'plainonly', 'sslmode=require', /SSL encryption/],
    [
      'require with a root refuses another issuer',
      'postgres',
      'sslmode=require&sslrootcert=@other.pem',
      /unable to verify|self.signed/,
    ],
    [
      'verify-ca refuses another issuer',
      'postgres',
      'sslmode=verify-ca&sslrootcert=@other.pem',
      /unable to verify|self.signed/,
    ],
    ['verify-ca refuses without a root', 'postgres', 'sslmode=verify-ca', /unable to verify|self.signed/],
    [
      'verify-full refuses another host name',
      'postgres',
      'sslmode=verify-full&sslrootcert=@ca.pem',
      /does not match certificate's altnames/,
    ],
  ])('%s', async (_name, user, parameters, reason) => {
    expect(await connect(url(user, inFolder(parameters)))).toMatch(reason);
  });

  test('a CA with the name of the right one is refused with what to do about it', async () => {
    const { cert } = await createCertificateAuthority('Database CA');
    await writeFile(join(folder, 'namesake.pem'), cert);
    expect(await connect(url('postgres', inFolder('sslmode=verify-ca&sslrootcert=@namesake.pem')))).toMatch(
      /no connection to .*: where two CAs have one name, give the one that issued it as sslrootcert/,
    );
  });

  test('verify-full accepts chain and host name', async () => {
    const target = url('postgres', inFolder('sslmode=verify-full&sslrootcert=@ca.pem'), 'localhost');
    expect(await connect(target)).toBe(true);
  });

  test('roots of the process are trusted where the URL names none, and anew when they change', async () => {
    const clock = new ManualClock();
    const config = databaseConfig(url('postgres', 'sslmode=verify-full', 'localhost'));
    let roots = [await readFile(join(folder, 'other.pem'), 'utf8')];
    const trustedRoots = () => Promise.resolve(roots);
    const databases = await openDatabases(config, config, { clock, logger, trustedRoots });
    opened.push(databases);
    const ask = () => databases.policyDb.query('select 1', [], { timeoutMs: 5000 });
    await expect(ask()).rejects.toThrow(/unable to verify|self.signed/);
    roots = [await readFile(join(folder, 'ca.pem'), 'utf8')];
    await clock.advance(10_000);
    await ask();
    expect(events).toEqual(['certificates-reloaded']);
  });

  test('sslnegotiation=direct', async () => {
    expect(await connect(url('postgres', 'sslmode=require&sslnegotiation=direct'))).toBe(true);
  });

  test.each(['postgres', 'direct'])(
    'a statement given up is stopped in the server, asked over TLS too (sslnegotiation=%s)',
    async (negotiation) => {
      const database = await open(url('tlsonly', `sslmode=require&sslnegotiation=${negotiation}`));
      await database.query('select 1', [], { timeoutMs: 5000 });
      const mark = `mark_${negotiation}`;
      await expect(database.query(`select pg_sleep(60) as ${mark}`, [], { timeoutMs: 100 })).rejects.toThrow(
        'did not answer',
      );
      const admin = await open(server.url);
      const running = async () =>
        await admin.query(
          'select 1 from pg_stat_activity where state = $1 and query like $2',
          ['active', `%as ${mark}`],
          {
            timeoutMs: 5000,
          },
        );
      while ((await running()).rowCount > 0);
    },
  );
});

describe('a server that demands client certificates', () => {
  const verified = 'sslmode=verify-ca&sslrootcert=@ca.pem';

  test('accepts certificate and key from the files that the URL names', async () => {
    const parameters = inFolder(`${verified}&sslcert=@client.pem&sslkey=@client.key`);
    expect(await connect(url('certain', parameters))).toBe(true);
  });

  test('accepts certificate and key of a service binding', async () => {
    const tls = {
      cert: { pem: client.cert },
      key: { pem: client.key },
      ca: { file: join(folder, 'ca.pem') },
    };
    expect(await connect(url('certain', 'sslmode=verify-ca'), { tls })).toBe(true);
  });

  test('refuses a client without one, and the message says so', async () => {
    expect(await connect(url('certain', inFolder(verified)))).toMatch(
      /no connection to 127\.0\.0\.1:\d+: .*certificate/,
    );
  });

  test('files that are missing or broken are named before anything is connected', async () => {
    expect(await connect(url('certain', 'sslcert=/nowhere/c.pem&sslkey=/nowhere/k.pem'))).toBe(
      'db.appmetrics_db: sslcert cannot be read from /nowhere/c.pem: ENOENT',
    );
    expect(await connect(url('certain', inFolder('sslcert=@client.pem&sslkey=@other.pem')))).toMatch(
      /sslcert or sslkey cannot be used: /,
    );
    expect(await connect(url('postgres', inFolder('sslmode=verify-ca&sslrootcert=@client.key')))).toMatch(
      /^db\.appmetrics_db: sslrootcert: .*client\.key holds no PEM certificate/,
    );
  });
});

test('a renewed client certificate is used for new connections; a broken one leaves the old in place', async () => {
  const clock = new ManualClock();
  const ca = await createCertificateAuthority('Database CA');
  const stranger = await ca.issue({ commonName: 'certain' });
  const [cert, key] = [join(folder, 'renewed.pem'), join(folder, 'renewed.key')];
  const write = (identity: Pick<IssuedCertificate, 'cert' | 'key'>) =>
    Promise.all([writeFile(cert, identity.cert), writeFile(key, identity.key)]);
  await write(stranger);
  const config = databaseConfig(url('certain', `sslmode=require&sslcert=${cert}&sslkey=${key}`), {
    maxIdleConnections: 0,
    connectionMaxLifetimeMs: 1,
  });
  const databases = await openDatabases(config, config, { clock, logger, trustedRoots: noRoots });
  opened.push(databases);
  const attempt = () => databases.policyDb.query('select pg_sleep(0.01)', [], { timeoutMs: 5000 });
  await expect(attempt()).rejects.toThrow(/no connection/);
  await write(client);
  await clock.advance(10_000);
  await attempt();
  await write({ cert: 'broken', key: 'broken' });
  for (let i = 0; i < 3; i++) {
    await clock.advance(10_000);
    await attempt();
  }
  expect(events).toEqual(['certificates-reloaded', 'certificates-not-reloaded']);
  await write(client);
  await clock.advance(10_000);
  await attempt();
  await write({ cert: 'broken', key: 'broken' });
  await clock.advance(10_000);
  await attempt();
  expect(events.splice(2)).toEqual(['certificates-not-reloaded']);
  expect(events).toEqual(['certificates-reloaded', 'certificates-not-reloaded']);
});

test('what is as it was is not reloaded, also where nothing is to be trusted', async () => {
  const clock = new ManualClock();
  const config = databaseConfig(url('postgres', 'sslmode=prefer'), { connectionMaxLifetimeMs: 1 });
  const databases = await openDatabases(config, config, { clock, logger, trustedRoots: noRoots });
  opened.push(databases);
  await databases.policyDb.query('select pg_sleep(0.01)', [], { timeoutMs: 5000 });
  await clock.advance(10_000);
  await databases.policyDb.query('select pg_sleep(0.01)', [], { timeoutMs: 5000 });
  expect(events).toEqual([]);
});

test('a password with special characters works over SCRAM; a wrong one shows in no message', async () => {
  const target = (password: string) =>
    url(`secret:${encodeURIComponent(password)}`, 'sslmode=require&channel_binding=prefer');
  expect(await connect(target('p:w/d'))).toBe(true);
  const problem = await connect(target('geheim'));
  expect(problem).toMatch(/password authentication failed for user "secret"/);
  expect(problem).not.toMatch(/geheim/);
});

test('prefer says once that a connection is not encrypted', async () => {
  const database = await open(url('plainonly', ''));
  const one = { timeoutMs: 5000 };
  await Promise.all([database.query('select 1', [], one), database.query('select 1', [], one)]);
  expect(events.filter((event) => event === 'connection-not-encrypted')).toHaveLength(1);
});

test('a server without TLS: prefer speaks plain text, require says why it cannot', async () => {
  const plain = process.env['DATABASE_URL'] ?? '';
  expect(await connect(plain)).toBe(false);
  expect(await connect(`${plain}?sslmode=require`)).toMatch(/does not support SSL/);
});

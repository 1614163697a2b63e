import { afterEach, describe, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { parse } from 'yaml';
import { helpText, parseCommand, UsageError } from './options.js';

interface Ready {
  readonly control: string;
  readonly config: string;
  readonly certificates: Readonly<Record<'ca' | 'cert' | 'key', string>>;
}

interface Database {
  readonly url: string;
}

let child: ChildProcess | undefined;
afterEach(() => void child?.kill('SIGKILL'));

function start(...args: string[]): { process: ChildProcess; lines: Interface; errors: () => string } {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const started = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child = started;
  let errors = '';
  started.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  return { process: started, lines: createInterface(started.stdout), errors: () => errors };
}

async function nextLine(lines: Interface): Promise<unknown> {
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line);
}

function control(url: string, method = 'GET', body?: object): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(body && JSON.stringify(body));
  });
}

/** What the control server tells and switches. */
async function tryControls(ready: Ready, appIds: readonly string[]): Promise<void> {
  const { body: apps } = await control(`${ready.control}/apps`);
  expect((apps as { guid: string }[]).map(({ guid }) => guid).sort()).toEqual([...appIds].sort());
  const told = await control(`${ready.control}/truth/${(apps as { guid: string }[])[0]?.guid}/cpu`);
  expect((told.body as object[]).length).toBeGreaterThan(0);

  const asked = await control(`${ready.control}/requests/${(apps as { guid: string }[])[0]?.guid}`);
  expect(asked.body).toHaveLength(2);

  const fault = { server: 'logCache', operation: 'read', fault: { kind: 'hang' } };
  expect(await control(`${ready.control}/faults`, 'POST', fault)).toMatchObject({ status: 200 });
  expect(await control(`${ready.control}/faults`)).toMatchObject({ body: [fault] });
  expect(await control(`${ready.control}/faults`, 'POST', { server: 'uaa' })).toMatchObject({
    status: 400,
  });
  expect(await control(`${ready.control}/faults`, 'DELETE')).toMatchObject({ status: 200 });
  for (const path of ['gateway/down', 'gateway/up', 'nodes/0/down', 'nodes/0/up']) {
    expect(await control(`${ready.control}/log-cache/${path}`, 'POST', {})).toMatchObject({ status: 200 });
  }
  expect(await control(`${ready.control}/log-cache/router/down`, 'POST', {})).toMatchObject({
    status: 400,
  });
  expect(await control(`${ready.control}/books`)).toMatchObject({ body: { triggers: { total: 0 } } });
}

test('runs with policies in a database and a configuration file, and removes both when it ends', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'platform-test-'));
  try {
    const file = join(folder, 'eventgenerator.yml');
    const platform = start(
      '--apps',
      '9',
      '--tick',
      '1',
      '--write-config',
      file,
      '--stories',
      'spike,no-data',
    );
    const ready = (await nextLine(platform.lines)) as Ready;
    expect(ready).toMatchObject({ event: 'ready', apps: 9, config: file });

    const config = parse(await readFile(file, 'utf8')) as {
      db: { policy_db: Database; appmetrics_db: Database };
      pool: object;
      metricCollector: { uaa: object };
    };
    expect(config.pool).toEqual({ total_instances: 1, instance_index: 0 });
    expect(config.metricCollector.uaa).toMatchObject({ skip_ssl_validation: true });
    const client = new pg.Client({ connectionString: config.db.policy_db.url });
    await client.connect();
    const { rows } = await client.query<{ app_id: string; policy: string }>(
      'select app_id, policy_json::text as policy from policy_json',
    );
    await client.query('select app_id, metric_type, unit, timestamp, value from app_metric');
    await client.end();
    expect(rows).toHaveLength(9);
    expect(rows[0]?.policy).toContain('"scaling_rules"');

    await tryControls(
      ready,
      rows.map((row) => row.app_id),
    );

    const books = nextLine(platform.lines);
    platform.process.kill('SIGTERM');
    expect(await books).toMatchObject({ event: 'books', served: { read: { requests: 0 } } });
    expect(await once(platform.process, 'exit')).toEqual([0, null]);
    await expect(access(file)).rejects.toThrow('ENOENT');
    await expect(access(ready.certificates.key)).rejects.toThrow('ENOENT');
    const gone = new pg.Client({ connectionString: config.db.policy_db.url });
    await expect(gone.connect()).rejects.toThrow('does not exist');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a bad argument ends with one line and exit code 2', async () => {
  const platform = start('--apps', 'many');
  expect(await once(platform.process, 'close')).toEqual([2, null]);
  expect(platform.errors()).toBe('platform: --apps must be a whole number from 1 to 100000, not "many"\n');
});

describe('the command line', () => {
  test('has a default for everything', () => {
    expect(parseCommand([])).toMatchObject({
      numbers: { apps: 7, tick: 15, 'stat-window': 120 },
      metrics: ['cpu', 'memoryutil', 'throughput'],
      configFile: undefined,
    });
    expect(parseCommand(['-h'])).toBe('help');
  });

  test('the configuration written may ask log-cache over gRPC', () => {
    expect(parseCommand([])).toMatchObject({ transport: 'rest' });
    expect(parseCommand(['--transport', 'grpc'])).toMatchObject({ transport: 'grpc' });
    expect(helpText()).toContain('--transport TRANSPORT');
  });

  test.each([
    [['--stories', 'tragedy'], '--stories knows'],
    [['--apps', '1.5'], 'a whole number'],
    [['--stat-window', '10'], 'from 60 to 3600'],
    [['--transport', 'carrier-pigeon'], '--transport knows rest, grpc'],
    [['--write-config', ''], 'needs the name of a file'],
    [['--unknown'], "Unknown option '--unknown'"],
    [['stray'], 'stray'],
  ])('refuses %j', (args, message) => {
    expect(() => parseCommand(args)).toThrow(UsageError);
    expect(() => parseCommand(args)).toThrow(message);
  });
});

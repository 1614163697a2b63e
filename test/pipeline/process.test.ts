import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { storedRows } from './audit.js';
import { policyOf, when } from './policies.js';
import { killProcesses, startProcess, type EventgeneratorProcess } from './process.js';

const guids = Array.from({ length: 20 }, (_, i) => `app-${i}`);

let folder: string;
let platform: Platform;
let database: TestDatabase;
/** Between the eventgenerator and its databases. */
let proxy: TcpProxy;
let written: WrittenConfig;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pipeline-'));
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicies(
    database.pool,
    guids.map((guid) => [
      guid,
      policyOf(when('cpu > 80', '+1', { breach_duration_secs: 1 }), when('throughput < 1', '-1')),
    ]),
  );
  platform = await startPlatform({
    apps: guids.map((guid) => ({
      guid,
      tickSecs: 1,
      load: constantLoad({ cpuPercent: guid === 'app-0' ? 1_000 : 50, requestsPerSecond: 20 }),
    })),
  });
  const url = new URL(database.url);
  proxy = await startTcpProxy(Number(url.port), url.hostname);
  url.host = `127.0.0.1:${proxy.port}`;
  written = await writeEventgeneratorConfig(join(folder, 'eventgenerator.yml'), {
    platform,
    policyDbUrl: url.href,
    collectionIntervalSecs: 0.5,
    evaluationIntervalSecs: 0.5,
    policyPollerIntervalSecs: 1,
    // Nothing is written before the end, so that the buffer is what is tested.
    saveIntervalSecs: 3600,
    statWindowSecs: 60,
  });
});
afterEach(async () => {
  killProcesses();
  platform.faults.clear();
  proxy.resume();
  proxy.cut(); // or PostgreSQL would keep for long what it did for those who fell silent
  await database.pool.query('delete from app_metric');
});
afterAll(async () => {
  await platform.stop();
  await proxy.close();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

function health(path: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${written.ports.health}${path}`);
}

/** App metrics that the process has collected so far. */
async function collected(): Promise<number> {
  const page = await (await health('/health')).text();
  const values = page.matchAll(/^autoscaler_eventgenerator_collections_total\{result="value"\} (\d+)$/gm);
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function atFullWork(): Promise<EventgeneratorProcess> {
  const eventgenerator = startProcess(['-c', written.file]);
  await eventgenerator.logged('eventgenerator.started');
  await eventually('so many app metrics', async () => (await collected()) > 100);
  return eventgenerator;
}

test('SIGTERM at full work ends it with code 0 and everything written', async () => {
  const eventgenerator = await atFullWork();
  expect(await storedRows(database)).toEqual([]);
  const before = await collected();
  eventgenerator.kill('SIGTERM');
  expect(await eventgenerator.ended).toBe(0);
  expect((await storedRows(database)).length).toBeGreaterThanOrEqual(before);

  const lines = eventgenerator.lines();
  // On a busy machine log-cache may take longer than the deadline of a read, which has nothing to do with the end.
  const others = lines.filter(({ data }) => data['failure'] !== 'timeout');
  expect(others.filter(({ level }) => level !== 'info')).toEqual([]);
  expect(lines.at(-1)?.message).toBe('eventgenerator.stopped');
  expect(eventgenerator.output).toHaveLength(lines.length);
  expect(eventgenerator.errors()).toBe('');
});

test('a second signal ends it at once, whatever it waits for', async () => {
  const hang = platform.faults.set({ server: 'scalingEngine', fault: { kind: 'hang' } });
  const eventgenerator = await atFullWork();
  await eventually(
    'a post that hangs',
    () => (platform.faults.list().find(({ id }) => id === hang.id)?.hits ?? 0) > 0,
  );
  eventgenerator.kill('SIGTERM');
  await eventgenerator.logged('eventgenerator.stopping');
  eventgenerator.kill('SIGINT');
  expect(await eventgenerator.ended).toBe(1);
  const messages = eventgenerator.lines().map(({ message }) => message);
  expect(messages).toContain('eventgenerator.forced');
  expect(messages).not.toContain('eventgenerator.stopped');
});

test('SIGTERM ends it with code 0 in time also while the databases hang', async () => {
  const eventgenerator = await atFullWork();
  proxy.goSilent();
  eventgenerator.kill('SIGTERM');
  expect(await eventgenerator.ended).toBe(0);
  const messages = eventgenerator.lines().map(({ message }) => message);
  expect(messages.at(-1)).toBe('eventgenerator.stopped');
  expect(messages).toContain('eventgenerator.app-metric-writer.rows-lost');
  expect(messages).not.toContain('eventgenerator.stop-took-too-long');
});

test('SIGTERM ends it with code 0 in time also while it starts and the databases hang', async () => {
  proxy.goSilent();
  const eventgenerator = startProcess(['-c', written.file]);
  await eventually('liveness', () => health('/health/liveness').catch(() => undefined));
  eventgenerator.kill('SIGTERM');
  expect(await eventgenerator.ended).toBe(0);
  const messages = eventgenerator.lines().map(({ message }) => message);
  expect(messages.at(-1)).toBe('eventgenerator.stopped');
  expect(messages).not.toContain('eventgenerator.started');
  expect(messages).not.toContain('eventgenerator.stop-took-too-long');
});

test('a configuration file that is not there is named on standard output, with code 1', async () => {
  const eventgenerator = startProcess(['-c', '/no/such/file.yml']);
  expect(await eventgenerator.ended).toBe(1);
  expect(eventgenerator.output).toEqual([
    expect.stringMatching(/^failed to open config file '\/no\/such\/file\.yml': .*no such file/),
  ]);
  expect(eventgenerator.errors()).toBe('');
});

test.each([
  ['is no YAML', 'logging: {level', /^failed to read config file: .*malformed/],
  [
    'lacks what is needed',
    'logging: {level: info}',
    /^failed to validate configuration : Configuration error: /,
  ],
])('a configuration that %s is refused on standard output, with code 1', async (_what, text, message) => {
  const file = join(folder, 'broken.yml');
  await writeFile(file, text);
  const eventgenerator = startProcess(['-c', file]);
  expect(await eventgenerator.ended).toBe(1);
  expect(eventgenerator.output[0]).toMatch(message);
  expect(eventgenerator.errors()).toBe('');
});

test('a port in use is named with its key, with code 1', async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(written.ports.health, '::', resolve));
  try {
    const eventgenerator = startProcess(['-c', written.file]);
    expect(await eventgenerator.ended).toBe(1);
    expect(await eventgenerator.logged('eventgenerator.start-failed')).toMatchObject({
      level: 'error',
      data: {
        error: expect.stringContaining(
          `The health server cannot listen on port ${written.ports.health} (EADDRINUSE): free the port, or configure another one as health.server_config.port`,
        ),
      },
    });
  } finally {
    await new Promise((resolve) => squatter.close(resolve));
  }
});

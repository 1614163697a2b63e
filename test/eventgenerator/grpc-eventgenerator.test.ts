import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeEventgeneratorConfig } from '../platform/eventgenerator-config.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { tellStory } from '../platform/stories.js';
import { createAutoscalerTables, insertPolicy } from '../support/autoscaler-tables.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

/* The whole eventgenerator as a process of its own, as a BOSH job starts it. */

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const story = tellStory('at-maximum', {
  guid: '9f0e2c1a-0000-4000-8000-00000000abcd',
  instances: 2,
  paceSecs: 1,
  tickSecs: 0.5,
  metrics: ['cpu', 'throughput'],
  breachDurationSecs: 1,
  coolDownSecs: 300,
  seed: 1,
});

let platform: Platform;
let database: TestDatabase;
let folder: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  platform = await startPlatform({ apps: [{ ...story.app, maxInstances: 10 }] });
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicy(database.pool, story.app.guid, { ...story.policy, instance_max_count: 10 });
  folder = await mkdtemp(join(tmpdir(), 'grpc-eventgenerator-'));
});
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await platform.stop();
  await database.drop();
  await rm(folder, { recursive: true });
});

test('over gRPC and without any UAA a busy app is scaled out', async () => {
  const { file } = await writeEventgeneratorConfig(join(folder, 'eventgenerator.yml'), {
    platform,
    policyDbUrl: database.url,
    transport: 'grpc',
    collectionIntervalSecs: 1,
    evaluationIntervalSecs: 1,
    saveIntervalSecs: 1,
    statWindowSecs: 60,
  });
  const started = spawn(process.execPath, [main, '-c', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  child = started;
  const lines: string[] = [];
  createInterface(started.stdout).on('line', (line) => lines.push(line));
  const exited = once(started, 'exit') as Promise<[code: number | null]>;

  await Promise.race([
    platform.books.until((books) => books.triggers.scaledOut > 0),
    exited.then(() => Promise.reject(new Error(lines.join('\n')))),
  ]);
  expect(platform.books.triggersOf(story.app.guid)[0]).toMatchObject({
    result: 'scaled',
    // Which of its two rules is the first depends on the second in which the process started.
    metricType: expect.stringMatching(/^(cpu|throughput)$/),
    before: 2,
    after: 3,
  });
  expect(platform.books.of('read').byStatus).toEqual({ '200': platform.books.of('read').requests });
  expect(platform.books.of('query').byStatus).toEqual({ '200': platform.books.of('query').requests });
  expect(platform.books.of('query').requests).toBeGreaterThan(0);
  expect(platform.books.of('token').requests).toBe(0);

  started.kill('SIGTERM');
  expect((await exited)[0]).toBe(0);
  const { rows } = await database.pool.query<{ metric_type: string }>(
    `select distinct metric_type from app_metric where value <> '' order by metric_type`,
  );
  expect(rows.map((row) => row.metric_type)).toEqual(['cpu', 'throughput']);
}, 180_000);

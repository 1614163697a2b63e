import { expect, test } from '@jest/globals';
import { Agent } from 'node:http';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppMetricWriter } from '../../src/history/app-metric-writer.js';
import { getRoute } from '../../src/http/get-route.js';
import { Servers } from '../../src/http/servers.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ElasticClaims } from '../../src/ownership/elastic-claims.js';
import { PolicyPoller } from '../../src/policy/policy-poller.js';
import { ask, fakeHistory, serversDeps, virtualMachineConfig } from '../http/support.js';
import { ManualClock } from '../support/manual-clock.js';
import { PolicyTable } from '../support/policy-table.js';
import { recordingLogger, type LogLine } from '../support/recording-logger.js';

/** How often things happen within a minute. */
const times = 1000;

function setUp() {
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  return { clock, logger, lines, metrics: createMetrics() };
}

function linesPerEvent(lines: readonly LogLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { level, event } of lines) if (level !== 'debug') counts[event] = (counts[event] ?? 0) + 1;
  return counts;
}

test('claims that fail, whether others succeed meanwhile or not', async () => {
  const { lines, ...deps } = setUp();
  const refusal = Object.assign(new Error('permission denied'), { code: '42501' });
  let attempts = 0;
  const claims = new ElasticClaims({
    ...deps,
    store: {
      // Of three attempts one succeeds: the two of the apps that fail, and the one of the next app.
      claim: () => (attempts++ % 3 < 2 ? Promise.reject(refusal) : Promise.resolve({ granted: true })),
      complete: async () => {},
      readBlocks: async () => new Map(),
      prune: async () => {},
    },
    ownership: {
      leaseId: 'a-lease',
      mayPost: () => true,
      confirmLease: async () => true,
      owns: () => true,
    },
    intervalMs: 40_000,
  });
  for (let i = 0; i < times; i++) expect(await claims.claim(`app-${i}`, 'out')).toEqual({ granted: true });
  expect(linesPerEvent(lines)).toEqual({ 'claims.claim-failed': 1, 'claims.posted-without-claim': 1 });
});

test('requests that fail', async () => {
  const { lines, logger, metrics, clock } = setUp();
  const history = fakeHistory(() => {
    throw new Error('database away');
  });
  const servers = new Servers(
    virtualMachineConfig(),
    serversDeps({
      logger,
      metrics,
      clock,
      history,
      apiModules: [
        (app) =>
          getRoute(app, '/broken', async () => {
            throw new Error('broken');
          }),
      ],
    }),
  );
  await servers.listen('127.0.0.1');
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const url = `http://127.0.0.1:${servers.addresses().api?.port}`;
  for (let i = 0; i < times; i += 20) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, j) => [
        ask(`${url}/v1/apps/app-${i + j}/aggregated_metric_histories/cpu`, { agent }),
        ask(`${url}/broken`, { agent }),
      ]).flat(),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([500]));
  }
  agent.destroy();
  await servers.close();
  expect(linesPerEvent(lines)).toEqual({
    'http.insecure-setting': expect.any(Number),
    'http.history-failed': 1,
    'http.api.request-failed': 1,
  });
});

test('databases that fail every other time', async () => {
  const { lines, ...deps } = setUp();
  let reads = 0;
  const store = new PolicyTable();
  store.onPoll = () => {
    if (reads++ % 2 === 0) throw new Error('database away');
  };
  const poller = new PolicyPoller({ ...deps, store, isOurs: () => true, intervalMs: 10 });
  poller.start();
  await deps.clock.advance(59_000);
  poller.stop();
  expect(reads).toBeGreaterThan(100);

  let writes = 0;
  const writer = new AppMetricWriter({
    ...deps,
    store: {
      insert: async () => {
        if (writes++ % 2 === 0) throw Object.assign(new Error('database away'), { code: 'ECONNREFUSED' });
      },
    },
    saveIntervalMs: 10,
  });
  for (let i = 0; i < times; i++) {
    writer.add([{ appId: 'app', metricType: 'cpu', value: 1n, unit: '%', timestampNs: BigInt(i) }]);
    await writer.saveNow();
  }
  expect(writes).toBeGreaterThanOrEqual(times);
  expect(linesPerEvent(lines)).toEqual({
    'policy.policies-not-readable': 1,
    'policy.policies-readable-again': 1,
    'app-metric-writer.rows-not-written': 1,
    'app-metric-writer.rows-written-again': 1,
  });
});

/** Errors that are logged directly, because they cannot come more often than said here. */
const rareErrors = new Set([
  // Once: at the start or at the end of the process, or when what was wrong at the start is mended.
  ...['database-refuses', 'tables-missing', 'system-certificates-unreadable', 'start-failed'],
  ...['release-failed', 'rows-lost', 'stop-took-too-long', 'uncaught-exception', 'static-beside-tables'],
  // Once for each version of a file that is looked at every few seconds at most, or that gets a new fault.
  ...['certificates-not-reloaded', 'certificate-not-reloaded', 'certificate-listener-failed'],
  'certificate-unusable',
  // Through a logger that is a RepeatedEvents: whoever opens log-cache gives it to them.
  ...['collector-thread-failed', 'log-cache-serves-no-app', 'log-cache-refuses-every-app'],
  // The same: the composition root's, for the watch over values; the listener's and the servers'.
  'apps-lost-their-values',
  ...['request-failed', 'history-failed', 'history-broken-off'],
]);

test('every other error is logged through RepeatedEvents', () => {
  const folder = join(fileURLToPath(new URL('../../..', import.meta.url)), 'src');
  const direct = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [
      ...readFileSync(join(folder, name), 'utf8').matchAll(/\blogger\.error\(\s*'([a-z-]+)'/g),
    ])
    .map(([, event = '']) => event);
  expect(direct.length).toBeGreaterThan(5);
  expect(direct.filter((event) => !rareErrors.has(event))).toEqual([]);
});

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { tableNames } from '../../src/database/table-names.js';
import { policyLimits } from '../../src/policy/policy-limits.js';
import { parsePolicy } from '../../src/policy/parse-policy.js';
import { replay } from '../../src/replay/replay.js';
import { recordingsReader } from '../../src/replay/recordings-reader.js';
import { msToNs, nsToMs } from '../../src/util/clock.js';
import type { AppOptions } from '../platform/app-model.js';
import { keyframes, type Load, type LoadScript } from '../platform/load-script.js';
import { openTestDatabases } from '../support/database-config.js';
import type { StoredRow } from './audit.js';
import { startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when, type RuleJson } from './policies.js';

/*
 * What a process did on the platform is what a replay of its stored app metrics finds. No rule is in breach any more
 * when a cool-down ends: when exactly that is depends on how long the cycle took that began it, which nobody stores.
 */

const intervalMs = 4_000;
const pulseSecs = 24;
const firstPulseSecs = 40;
const periodSecs = 100;
/** More than are waited for: on a busy machine one may pass without a cycle. */
const pulses = 30;
const pulsesUsed = 3;
const scaled = ['spikes', 'percent', 'valleys', 'requests'];

/** One load, and another one for a while in each period. */
function pulsed(usual: Partial<Load>, pulse: Partial<Load>, offsetSecs = 0): LoadScript {
  const frames = Array.from({ length: pulses }, (_, i) => {
    const atSecs = firstPulseSecs + offsetSecs + i * periodSecs;
    return [
      { atSecs, load: usual },
      { atSecs: atSecs + 0.1, load: pulse },
      { atSecs: atSecs + pulseSecs, load: pulse },
      { atSecs: atSecs + pulseSecs + 0.1, load: usual },
    ];
  });
  return keyframes(frames.flat());
}

const coolDown = { cool_down_secs: 60, breach_duration_secs: 10 };
const out = (condition: Parameters<typeof when>[0], adjustment: string) =>
  when(condition, adjustment, coolDown);

interface ScriptedApp extends AppOptions {
  readonly guid: string;
  readonly instances: number;
  readonly policy: object;
}

function app(guid: string, instances: number, load: LoadScript, ...rules: readonly RuleJson[]): ScriptedApp {
  return { guid, instances, load, tickSecs: 1, maxInstances: 10, policy: policyOf(...rules) };
}

const apps: readonly ScriptedApp[] = [
  app('spikes', 1, pulsed({ cpuPercent: 30 }, { cpuPercent: 3_000 }), out('cpu > 80', '+1')),
  app('percent', 2, pulsed({ cpuPercent: 30 }, { cpuPercent: 3_000 }), out('cpu >= 80', '+50%')),
  app('valleys', 6, pulsed({ cpuPercent: 900 }, { cpuPercent: 6 }), out('cpu < 20', '-1')),
  app(
    'requests',
    1,
    pulsed({ requestsPerSecond: 10, cpuPercent: 300 }, { requestsPerSecond: 2_000, cpuPercent: 300 }),
    out('throughput > 100', '+2'),
    out('cpu < 5', '-1'),
  ),
  {
    ...app('full', 2, pulsed({ cpuPercent: 30 }, { cpuPercent: 3_000 }), out('cpu > 80', '+1')),
    maxInstances: 3,
    policy: { ...policyOf(out('cpu > 80', '+1')), instance_max_count: 3 },
  },
  app(
    'calm',
    2,
    pulsed({ cpuPercent: 100 }, { cpuPercent: 120 }),
    out('cpu > 80', '+1'),
    out('cpu < 20', '-1'),
  ),
];

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline({
    apps,
    configure: (config) => ({
      ...config,
      defaultStatWindowSecs: 8,
      aggregator: { ...config.aggregator, collectionIntervalMs: intervalMs },
      evaluator: { ...config.evaluator, evaluationIntervalMs: intervalMs },
    }),
  });
});
afterAll(stopPipelines);

/**
 * What the process did: the cycle of each scaling, and the numbers of instances. A cycle whose http metrics come late is
 * judged as of the gauges of a newer one: the cycle meant is that of the rule's own app metric.
 */
function done(appId: string, rows: readonly StoredRow[]): unknown[] {
  const fired = pipeline.log.lines.filter(
    ({ event, data }) =>
      event === 'evaluation.evaluated' && data['appId'] === appId && data['outcome'] === 'fired',
  );
  const triggers = pipeline.platform.books.triggersOf(appId);
  expect(fired).toHaveLength(triggers.length);
  return triggers.flatMap(({ result, metricType, before, after }, index) => {
    const evaluatedAtMs = Number(fired[index]?.data['atMs']);
    const cycles = rows
      .filter((row) => row.appId === appId && row.metricType === metricType)
      .map(({ timestampNs }) => nsToMs(timestampNs))
      .filter((atMs) => atMs <= evaluatedAtMs);
    return result === 'scaled' ? [[Math.max(...cycles), before, after]] : [];
  });
}

test('every scaling of a process is found again at its cycle by a replay of what it stored, and no other', async () => {
  const { books } = pipeline.platform;
  // A pulse has passed, with all that it brings about, and the next is not near.
  await books.until(() => scaled.every((appId) => books.triggersOf(appId).length >= pulsesUsed));
  const evaluatedAtMs = Math.max(...pipeline.log.lines.map(({ data }) => Number(data['atMs'] ?? 0)));
  await pipeline.log.until(
    'evaluation.evaluated',
    ({ data }) => data['appId'] === 'calm' && Number(data['atMs']) > evaluatedAtMs + 30_000,
  );
  expect((await pipeline.audit()).lost).toBe(0);
  const rows = await pipeline.rows();

  const databases = await openTestDatabases(pipeline.appMetricsDb.url);
  try {
    const read = recordingsReader(databases.appMetricsDb, tableNames('act'));
    const untilNs = msToNs(pipeline.clock.now());
    for (const { guid: appId, policy, instances } of apps) {
      const text = JSON.stringify(policy);
      const parsed = parsePolicy(text);
      if (!parsed.ok) throw new Error(parsed.problem);
      const metricTypes = [...new Set(parsed.rules.map(({ metricType }) => metricType))];
      const replayed = replay({
        policy: { appId, version: '', rules: parsed.rules },
        limits: policyLimits(text),
        recordings: await read({ appId, metricTypes, sinceNs: 0n, untilNs }),
        ...{ fromNs: 0n, untilNs, instances, load: null },
        settings: {
          defaultBreachDurationSecs: pipeline.config.defaultBreachDurationSecs,
          collectionIntervalMs: intervalMs,
          evaluationIntervalMs: intervalMs,
        },
      });
      const found = replayed.scalings.map(({ atMs, from, to }) => [atMs, from, to]);
      expect({ appId, scalings: found }).toEqual({ appId, scalings: done(appId, rows) });
    }
  } finally {
    await databases.close();
  }
  for (const appId of scaled) expect(done(appId, rows).length).toBeGreaterThanOrEqual(pulsesUsed);
  expect([done('full', rows).length, done('calm', rows).length]).toEqual([1, 0]);
});

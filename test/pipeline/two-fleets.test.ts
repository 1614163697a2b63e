import { beforeAll, expect, jest, test } from '@jest/globals';
import { compareCommand } from '../../src/cli/compare-command.js';
import type { Config, Mode } from '../../src/config/config.js';
import { tableNames } from '../../src/database/table-names.js';
import { containerCounts } from '../../src/history/container-counts.js';
import { keyframes, type Keyframe, type Load, type LoadScript } from '../platform/load-script.js';
import { databaseConfig } from '../support/database-config.js';
import { policyOf, when } from './policies.js';
import {
  simulateFleets,
  type Fleet,
  type PlayedApp,
  type Scaling,
  type SimulatedFleets,
} from './simulated-fleets.js';

/* Two fleets on one platform, one that acts and one that observes, for half an hour of load with spikes. */

jest.setTimeout(600_000);

const startMs = Date.UTC(2026, 10, 27, 9);
const halfAnHourMs = 1_800_000;
const switchedOff = 'switched-off';
const coolDown = { cool_down_secs: 60 };

/** Rises within 20 s, stays, and falls as quickly: `at` are minutes. */
function spikes(low: Partial<Load>, high: Partial<Load>, ...at: [from: number, to: number][]): LoadScript {
  const frames = at.flatMap(([from, to]): Keyframe[] => [
    { atSecs: from * 60, load: low },
    { atSecs: from * 60 + 20, load: high },
    { atSecs: to * 60, load: high },
    { atSecs: to * 60 + 20, load: low },
  ]);
  return keyframes(frames);
}

const cpuPolicy = policyOf(when('cpu > 70', '+1', coolDown), when('cpu < 25', '-1', coolDown));
const cpuSpikes = spikes({ cpuPercent: 60 }, { cpuPercent: 500 }, [4, 9], [16, 19], [24, 27]);

const apps: readonly PlayedApp[] = [
  { guid: 'cpu', instances: 2, maxInstances: 10, load: cpuSpikes, policy: cpuPolicy },
  {
    guid: 'requests',
    instances: 4,
    maxInstances: 10,
    load: spikes({ requestsPerSecond: 20 }, { requestsPerSecond: 300 }, [3, 8], [13, 15]),
    policy: policyOf(when('throughput > 100', '+50%', coolDown), when('throughput < 30', '-50%', coolDown)),
  },
  {
    guid: 'memory',
    instances: 3,
    maxInstances: 10,
    memoryQuotaMiB: 512,
    load: spikes({ memoryMiB: 300 }, { memoryMiB: 1_500 }, [6, 12], [20, 28]),
    policy: policyOf(when('memoryutil > 80', '+2', coolDown), when('memoryutil < 40', '-1', coolDown)),
  },
  {
    guid: 'limited',
    instances: 2,
    maxInstances: 3,
    minInstances: 2,
    load: cpuSpikes,
    policy: { ...cpuPolicy, instance_min_count: 2, instance_max_count: 3 },
  },
  {
    guid: 'queue',
    instances: 2,
    maxInstances: 10,
    load: spikes({ cpuPercent: 10 }, { cpuPercent: 10 }, [1, 2]),
    customMetrics: [
      { name: 'backlog', unit: 'jobs', intervalSecs: 10, total: (secs) => (secs % 600 < 200 ? 2_000 : 20) },
    ],
    policy: policyOf(when('backlog > 300', '+1', coolDown), when('backlog < 20', '-1', coolDown)),
  },
  {
    guid: 'steady',
    instances: 2,
    load: spikes({ cpuPercent: 80 }, { cpuPercent: 90 }, [5, 10]),
    policy: cpuPolicy,
  },
  // The scaling engine asks for a label that an observer cannot see. An observer's cool-downs and an acting fleet's back-offs
  // end at other times. Their early cycles are so far apart here that the scalings differ, too.
  {
    guid: switchedOff,
    instances: 2,
    load: cpuSpikes,
    autoscalingDisabled: true,
    policy: policyOf(
      when('cpu > 70', '+1', { cool_down_secs: 85 }),
      when('cpu < 25', '-1', { cool_down_secs: 85 }),
    ),
  },
];

const config = {
  pool: { mode: 'static', static: { totalInstances: 1, instanceIndex: 0 } },
  instance: { guid: 'fleet', index: 0 },
  aggregator: {
    collectionIntervalMs: 40_000,
    policyPollerIntervalMs: 40_000,
    saveIntervalMs: 5_000,
    metricPollerCount: 20,
    metricCacheSizePerApp: 100,
  },
  evaluator: { mode: 'act', observedRetentionMs: 172_800_000, evaluationIntervalMs: 40_000 },
  defaultStatWindowSecs: 60,
  defaultBreachDurationSecs: 60,
  circuitBreaker: {
    backOffInitialIntervalMs: 300_000,
    backOffMaxIntervalMs: 7_200_000,
    consecutiveFailureCount: 3,
  },
  // The rest of a configuration belongs to parts that are not simulated.
} as Partial<Config> as Config;

interface Played {
  readonly fleets: readonly Fleet[];
  /** By table. */
  readonly contents: ReadonlyMap<string, string>;
  /** What `compare` says, and its exit code; null without an observer. */
  readonly comparison: { readonly code: number; readonly text: string } | null;
}

/** Lets the fleets of these modes run together for half an hour. */
async function play(modes: readonly Mode[]): Promise<Played> {
  const simulation = await simulateFleets(config, apps, { startMs, modes });
  try {
    const fleets: Fleet[] = [];
    for (const mode of modes) fleets.push(await simulation.start(mode));
    await simulation.advance(halfAnHourMs);
    for (const fleet of fleets) await fleet.stop();
    const comparison = modes.includes('observe') ? await compare(simulation) : null;
    return { fleets, contents: await contentsOf(simulation), comparison };
  } finally {
    await simulation.close();
  }
}

async function compare({ database, clock }: SimulatedFleets): Promise<Played['comparison']> {
  const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    const url = databaseConfig(database.url);
    const choice = { appId: null, sinceMs: halfAnHourMs, intervalMs: null, json: false };
    const trust = { systemBundle: '/nowhere' };
    const code = await compareCommand({ ...config, policyDb: url, appMetricsDb: url }, trust, choice, clock);
    return { code, text: written.mock.calls.map(([chunk]) => String(chunk)).join('') };
  } finally {
    written.mockRestore();
  }
}

/** Every table with all that is in its rows, but for the times of the database's own clock. */
async function contentsOf({ database: { pool } }: SimulatedFleets): Promise<Map<string, string>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  );
  const contents = new Map<string, string>();
  for (const { name } of tables) {
    const { rows } = await pool.query<{ row: string }>(
      `select (to_jsonb(t) - 'updated_at')::text as row from ${name} t order by 1`,
    );
    contents.set(name, rows.map(({ row }) => row).join('\n'));
  }
  return contents;
}

const scalingsOf = (fleet: Fleet | undefined, appId: string): readonly Scaling[] =>
  fleet?.scalings.filter((scaling) => scaling.appId === appId) ?? [];

let alone: Played;
let together: Played;
beforeAll(async () => {
  alone = await play(['act']);
  together = await play(['act', 'observe']);
});

test('an observer would have scaled every app as it was scaled, at the same times', () => {
  const [acting, observing] = together.fleets;
  for (const { guid } of apps.filter(({ guid }) => guid !== switchedOff)) {
    expect([guid, scalingsOf(observing, guid)]).toEqual([guid, scalingsOf(acting, guid)]);
  }
  const scaled = apps.map(({ guid }) => [guid, scalingsOf(acting, guid).length]);
  expect(scaled).toEqual([
    ['cpu', 21],
    ['requests', 10],
    ['memory', 10],
    ['limited', 6],
    ['queue', 19],
    ['steady', 0],
    [switchedOff, 0],
  ]);
});

test('but for an app that is switched off by a label, which an observer cannot see', () => {
  const [, observing] = together.fleets;
  expect(scalingsOf(observing, switchedOff).length).toBeGreaterThan(0);
});

test('the comparison names that app alone, and says that its values are alike but of other times', () => {
  const { code, text = '' } = together.comparison ?? {};
  expect(code).toBe(3);
  expect(text.split('\n').filter((line) => /^\S/.test(line))).toEqual([
    `${switchedOff}  the values are alike, but were collected at other times`,
    expect.stringMatching(/^7 apps, 6 alike; 1 differ: 1 other-cycle-times$/),
  ]);
  expect(text).toContain('median 0 %, largest 0 %, 0 % of them above 10 %');
});

test('the tables of the acting fleet are byte for byte what they are without an observer', () => {
  const acting = ['policy_json', ...Object.values(tableNames('act'))];
  expect([...alone.contents.keys()].sort()).toEqual(acting.sort());
  for (const table of acting) {
    expect([table, together.contents.get(table)]).toEqual([table, alone.contents.get(table)]);
  }
  expect(alone.contents.get('app_metric')?.length).toBeGreaterThan(10_000);
});

test('an observer stores the same app metrics, in its own table', () => {
  const rowsIn = (table: string) =>
    together.contents
      .get(table)
      ?.split('\n')
      .filter(
        (row) =>
          !row.includes(switchedOff) && !Object.values(containerCounts).some((name) => row.includes(name)),
      );
  expect(rowsIn('eventgenerator_observed')).toEqual(rowsIn('app_metric'));
});

test('an observer that is started again goes on with what it had observed', async () => {
  const simulation = await simulateFleets(config, apps, { startMs, modes: ['act', 'observe'] });
  try {
    const first = await simulation.start('observe');
    await simulation.advance(300_000);
    await first.stop();
    const second = await simulation.start('observe');
    await simulation.advance(40_000);
    const done = second.log.lines.find(({ event }) => event === 'warm-up.done');
    expect(done?.data['points']).toBeGreaterThan(10);
    // Without them a breach duration would have to pass first.
    expect(scalingsOf(second, 'cpu').length).toBeGreaterThan(0);
    await second.stop();
  } finally {
    await simulation.close();
  }
});

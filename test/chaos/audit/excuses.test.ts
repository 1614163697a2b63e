import { beforeEach, expect, test } from '@jest/globals';
import { trueRow, type StoredRow } from '../../pipeline/audit.js';
import { when } from '../../pipeline/policies.js';
import { Apps } from '../../platform/apps.js';
import type { TriggerRecord } from '../../platform/books.js';
import { constantLoad } from '../../platform/load-script.js';
import { LogCacheStore } from '../../platform/log-cache-store.js';
import { Truth } from '../../platform/truth.js';
import { ManualClock } from '../../support/manual-clock.js';
import { Diary, type FaultEntry } from '../diary.js';
import { LateStreams } from '../late-streams.js';
import { statWindowSecs } from '../member.js';
import type { Stage } from '../stage.js';
import { auditReasons } from './contradicted.js';
import { isExcused } from './excuses.js';
import { isGood } from './finding.js';

const windows = { statWindowSecs, httpWindowSecs: 10 };
const rule = when('throughput < 3', '-1', { breach_duration_secs: 20 });

let clock: ManualClock;
let startMs: number;
let store: LogCacheStore;
let lateStreams: LateStreams;
let diary: Diary;
let triggers: TriggerRecord[];
let lines: { message: string; readAtMs: number }[];
let stage: Stage;

/** One app under a load that never changes, for long already. */
beforeEach(() => {
  clock = new ManualClock();
  startMs = clock.now();
  const apps = new Apps({ originUs: startMs * 1000, seed: 1, retentionUs: 3600e6 }, clock);
  apps.add({
    guid: 'app',
    instances: 6,
    tickSecs: 5,
    runningForSecs: 1_200,
    load: constantLoad({ requestsPerSecond: 120, cpuPercent: 300 }),
    customMetrics: [{ name: 'jobs', unit: 'jobs', intervalSecs: 5, total: (secs) => 600 + 30 * secs }],
  });
  lateStreams = new LateStreams();
  store = new LogCacheStore(apps, clock, {
    retentionMs: 3_600_000,
    ingestLagMs: 0,
    lateMs: (stream, timestampUs) => lateStreams.lateMs(stream, stream.cellId === null, timestampUs),
  });
  diary = new Diary();
  triggers = [];
  const platform = { truth: new Truth(apps, store), apps, books: { triggersOf: () => triggers } };
  lines = [];
  stage = {
    diary,
    lateStreams,
    platform,
    guids: ['app'],
    members: [{ lines }],
    options: { intervalSecs: 10 },
  } as unknown as Stage;
});

/** Times are seconds from the start. */
function fault(fromSecs: number, toSecs: number, more: Partial<FaultEntry>): void {
  diary.note({
    name: 'a.fault',
    detail: '',
    fromMs: startMs + fromSecs * 1000,
    toMs: startMs + toSecs * 1000,
    effects: new Set(),
    ...more,
  });
}

function row(metricType: string, value: string, atSecs = (clock.now() - startMs) / 1000): StoredRow {
  const timestampNs = BigInt(startMs + atSecs * 1000) * 1_000_000n;
  return { appId: 'app', metricType, unit: '', timestampNs, value };
}

const excused = (each: StoredRow) => isExcused(each, stage, windows);
const truthOf = (metricType: string, atSecs?: number) =>
  Number(trueRow(row(metricType, '', atSecs), stage.platform, windows).value);

/** Every sample that log-cache shows of the window, as a reader finds them. */
function samplesRead(name: string): { instanceId: string; value: number }[] {
  const endNs = BigInt(clock.now()) * 1_000_000n;
  const page = store.read({
    sourceId: 'app',
    startNs: endNs - BigInt(statWindowSecs) * 1_000_000_000n,
    endNs,
    limit: 1000,
    types: ['GAUGE'],
    descending: true,
    nameFilter: `^${name}$`,
  });
  return page.map(({ instanceId, body }) => ({
    instanceId,
    value: Math.ceil(body.type === 'GAUGE' ? (body.metrics[name]?.value ?? NaN) : NaN),
  }));
}

const meanOf = (samples: readonly { value: number }[]) =>
  String(Math.ceil(samples.reduce((sum, { value }) => sum + value, 0) / samples.length));

test('while streams are late a gauge is the mean of what had arrived, and nothing else', async () => {
  await clock.advance(100_000);
  lateStreams.begin(30_000, 7, clock.now());
  await clock.advance(45_000);
  const samples = samplesRead('jobs');
  const mean = meanOf(samples);
  expect(Number(mean)).not.toBe(truthOf('jobs'));
  expect(excused(row('jobs', mean))).toBe(false);
  fault(100, 200, { effects: new Set(['late']) });
  expect(excused(row('jobs', mean))).toBe(true);
  const [latest] = samples;
  const withoutOne = meanOf(samples.filter(({ instanceId }) => instanceId !== latest?.instanceId));
  expect(withoutOne).not.toBe(mean);
  expect(excused(row('jobs', withoutOne))).toBe(false);
  expect(excused(row('jobs', ''))).toBe(false);
});

test('where samples are lost a gauge is the mean of some, which is that of one at the least', async () => {
  await clock.advance(100_000);
  const values = samplesRead('cpu').map(({ value }) => value);
  const [least, largest] = [Math.min(...values), Math.max(...values)];
  expect(largest).toBeGreaterThan(least);
  expect(excused(row('cpu', String(least)))).toBe(false);
  fault(50, 200, { effects: new Set(['partial']) });
  for (const value of [least, largest]) expect(excused(row('cpu', String(value)))).toBe(true);
  for (const value of [least - 1, largest + 1]) expect(excused(row('cpu', String(value)))).toBe(false);
});

test('while there are no http timers nothing is zero, and only a window that lost a part is too low', async () => {
  await clock.advance(200_000);
  fault(100, 150, { effects: new Set(['timers']) });
  expect(truthOf('throughput', 130)).toBe(20);
  expect(excused(row('throughput', '', 130))).toBe(true);
  expect(excused(row('throughput', '0', 130))).toBe(false);
  expect(excused(row('throughput', '12', 130))).toBe(false);
  for (const edge of [104, 155]) {
    expect(excused(row('throughput', '12', edge))).toBe(true);
    expect(excused(row('throughput', '21', edge))).toBe(false);
  }
  expect(excused(row('throughput', '', 175))).toBe(true);
  expect(excused(row('throughput', '', 185))).toBe(false);
});

test('a zero is no data for a moment after a membership change, and nothing else is', async () => {
  await clock.advance(100_000);
  stage.platform.apps.require('app').changeLoad(constantLoad({ cpuPercent: 300 }), clock.now() * 1000);
  await clock.advance(100_000);
  expect(truthOf('throughput', 150)).toBe(0);
  const message = 'eventgenerator.ownership.members-changed';
  for (const changedSecs of [95, 150]) lines.push({ message, readAtMs: startMs + changedSecs * 1000 });
  expect(excused(row('throughput', '', 155))).toBe(true);
  expect(excused(row('throughput', '', 165))).toBe(false);
  expect(excused(row('throughput', '', 140))).toBe(false);
  expect(excused(row('cpu', '', 155))).toBe(false);
  expect(truthOf('throughput', 95)).not.toBe(0);
  expect(excused(row('throughput', '', 95))).toBe(false);
});

test('with a clock ahead an http value is of requests that were, or there is none', async () => {
  await clock.advance(200_000);
  fault(100, 120, { aheadMs: 13_300 });
  expect(excused(row('throughput', '4', 120))).toBe(false);
  expect(excused(row('throughput', '0', 120))).toBe(false);
  expect(excused(row('cpu', '', 120))).toBe(true);
  expect(excused(row('cpu', '99', 120))).toBe(false);
});

test('with a clock behind a row is as good as what log-cache held when it was read', async () => {
  await clock.advance(900_000);
  fault(700, 720, { effects: new Set(['hides']) });
  expect(excused(row('cpu', '', 110))).toBe(false);
  fault(740, 760, { aheadMs: -640_000 });
  expect(excused(row('cpu', '', 110))).toBe(true);
  expect(excused(row('cpu', '99', 110))).toBe(false);
});

test('a trigger for which there was never a reason is found, whatever was stored', async () => {
  await clock.advance(300_000);
  const record = {
    atMs: startMs + 150_000,
    receivedMs: startMs + 150_000,
    result: 'scaled',
    metricType: 'throughput',
    metricUnit: 'rps',
    operator: '<',
    threshold: String(rule.threshold),
    breachDurationSecs: '20',
    coolDownSecs: '60',
    adjustment: '-1',
  } as const;
  fault(100, 150, { effects: new Set(['timers']) });
  triggers = [record];
  expect(isGood(auditReasons(stage, windows))).toBe(false);
  triggers = [{ ...record, threshold: '30' }];
  expect(isGood(auditReasons(stage, windows))).toBe(true);
});

import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { Authorized, ReadJob } from '../../../src/collection/pool/job.js';
import { readGauges } from '../../../src/collection/worker/read-gauges.js';
import { SettledWindows } from '../../../src/collection/plan/settled-windows.js';
import type { GaugeEnvelope } from '../../../src/log-cache/log-cache.js';
import { appId, gauge, logCacheOf, SimulatedStore, webTags } from '../../log-cache/simulated-log-cache.js';
import { ManualClock } from '../../support/manual-clock.js';

/* Cycles that read only what is new find out what cycles that read the whole window do. */

const second = 1_000_000_000n;
const began = 1_755_700_000n * second;
const gaugeTypes = ['cpu', 'memoryutil', 'memoryused', 'cpuutil', 'jobs', 'queue'];

interface Sent {
  readonly envelope: GaugeEnvelope;
  readonly arrivesNs: bigint;
}

/** What log-cache holds at a time. */
function storeAt(sent: readonly Sent[], nowNs: bigint): SimulatedStore {
  const store = new SimulatedStore();
  store.add(...sent.filter(({ arrivesNs }) => arrivesNs <= nowNs).map(({ envelope }) => envelope));
  return store;
}

function jobAt(endNs: bigint, over: Partial<ReadJob> = {}): ReadJob & Authorized {
  return {
    kind: 'read',
    appId,
    startNs: endNs - 120n * second,
    endNs,
    gaugeTypes,
    presenceSinceNs: endNs - 40n * second,
    settled: null,
    authorization: null,
    ...over,
  };
}

function read(job: ReadJob & Authorized, store: SimulatedStore, cost = noCost()) {
  return readGauges(job, { logCache: logCacheOf(store), clock: new ManualClock(), cost });
}

const containerGauges = ['cpu', 'memory', 'memory_quota', 'cpu_entitlement'];
const values = fc.oneof(
  { weight: 160, arbitrary: fc.double({ min: 0, max: 2 ** 31, noNaN: true }) },
  { weight: 40, arbitrary: fc.constantFrom(0, -1, NaN, Infinity) },
  { weight: 1, arbitrary: fc.constantFrom(9e18, 2 ** 53) },
);
/** On a coarse grid, so that the borders of windows are met, or just beside it. */
const offsets = fc
  .tuple(fc.integer({ min: 0, max: 11 }), fc.constantFrom(0n, 0n, 0n, 1n, -1n, 37_000n))
  .map(([step, offset]) => BigInt(step) * 5n * second + offset);
const tagSets = fc.constantFrom<Record<string, string>>(
  webTags('0'),
  webTags('1'),
  webTags('1'),
  webTags('2'),
  { ...webTags('0'), process_instance_id: 'other' },
  { origin: 'rep' },
  {},
);

/** Seconds from an envelope's timestamp to its arrival. */
type Way = (tick: number) => number;
/** Not later than the overlap of 20 s, and in any order. */
const punctual = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 7 }).map(
  (secs): Way =>
    (tick) =>
      secs[tick % secs.length] ?? 0,
);
/** As slow as the cell is, but in order. */
const late = fc.constantFrom(21, 30, 45, 70).map(
  (secs): Way =>
    () =>
      secs,
);
/** On time at first, or at last: a cell that falls behind, or has caught up. */
const changing = fc
  .record({ turn: fc.integer({ min: 15, max: 40 }), secs: fc.constantFrom(30, 60), slows: fc.boolean() })
  .map(
    ({ turn, secs, slows }): Way =>
      (tick) =>
        tick < turn === slows ? 1 : secs,
  );

/** One gauge of one instance, reported at every tick or at each so many of them. */
const streams = (way: fc.Arbitrary<Way>, each: fc.Arbitrary<number>) =>
  fc.record({
    name: fc.constantFrom(...containerGauges, 'jobs', 'queue'),
    values: fc.array(values, { minLength: 1, maxLength: 9 }),
    units: fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 }),
    way,
    each,
  });
const lastTick = 30;
/** What one instance reports from tick to tick. */
const instances = (from: fc.Arbitrary<number>, stream: ReturnType<typeof streams>) =>
  fc.record({
    tags: tagSets,
    offsetNs: offsets,
    from,
    to: fc.constantFrom(lastTick, lastTick, lastTick, 8, 15),
    gauges: fc.uniqueArray(stream, { selector: ({ name }) => name, minLength: 1 }),
  });
const regular = streams(punctual, fc.constant(1));
const irregular = streams(
  fc.oneof(
    { weight: 8, arbitrary: punctual },
    { weight: 1, arbitrary: late },
    { weight: 1, arbitrary: changing },
  ),
  fc.constantFrom(1, 1, 1, 1, 1, 2, 3),
);
const since = fc.constant(-16);
/** What comes late from its first envelope on, later than the next read reaches back, is found by a full read only. */
const anew = instances(fc.integer({ min: 0, max: 20 }), regular);
const histories = fc
  .oneof(
    ...[instances(since, regular), instances(since, irregular)].map((old) =>
      fc.uniqueArray(fc.oneof({ weight: 4, arbitrary: old }, { weight: 1, arbitrary: anew }), {
        selector: ({ tags }) => tags['process_instance_id'] ?? '7',
        minLength: 1,
        maxLength: 4,
      }),
    ),
  )
  .map((all) => all.flatMap(sentBy));

type Instance = ReturnType<typeof instances> extends fc.Arbitrary<infer T> ? T : never;

function sentBy({ tags, offsetNs, from, to, gauges }: Instance): Sent[] {
  const sent: Sent[] = [];
  for (const { name, values: all, units, way, each } of gauges) {
    let overtakenNs: bigint | null = null;
    for (let n = Math.ceil((to - from) / each) - 1; n >= 0; n--) {
      const timeNs = began + BigInt((from + n * each) * 15) * second + offsetNs;
      const more = { tags, unit: units[n % units.length] ?? '', instanceId: tags['instance_id'] ?? '7' };
      const delayNs = BigInt(way(n * each)) * second;
      let arrivesNs = timeNs + delayNs;
      // What is later than the overlap is so in order: a cell that catches up sends the oldest first.
      if (delayNs > 20n * second && overtakenNs !== null && arrivesNs > overtakenNs) arrivesNs = overtakenNs;
      if (overtakenNs === null || arrivesNs < overtakenNs) overtakenNs = arrivesNs;
      sent.push({ envelope: gauge(timeNs, name, all[n % all.length] ?? 0, more), arrivesNs });
    }
  }
  return sent;
}

/** Seconds since the cycle before; whether log-cache answered; how far our clock is behind. */
const cycles = fc.array(
  fc.record({
    gapSecs: fc.oneof(
      { weight: 7, arbitrary: fc.constant(40) },
      { weight: 3, arbitrary: fc.constantFrom(1, 3, 20, 80, 99, 100, 101, 130) },
    ),
    answered: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
    behindSecs: fc.constantFrom(0, 0, 0, 0, 0, 0, 5, 30),
  }),
  { minLength: 4, maxLength: 10 },
);

test('the app metrics of a window read in parts are those of the window read as a whole', async () => {
  let continued = 0;
  let spared = 0;
  await fc.assert(
    fc.asyncProperty(histories, cycles, async (sent, plan) => {
      const windows = new SettledWindows();
      let nowNs = began;
      for (const { gapSecs, answered, behindSecs } of plan) {
        nowNs += BigInt(gapSecs) * second;
        const store = storeAt(sent, nowNs);
        const whole = jobAt(nowNs - BigInt(behindSecs) * second);
        const settled = windows.of(whole);
        if (!answered) continue;
        if (settled) continued++;
        const costs = { parts: noCost(), whole: noCost() };
        const result = await read({ ...whole, settled }, store, costs.parts);
        const expected = await read(whole, store, costs.whole);
        if (costs.parts.envelopes < costs.whole.envelopes) spared++;
        expect(result.outcomes).toEqual(expected.outcomes);
        if (result.containerMetricSeen !== null) {
          expect(result.containerMetricSeen).toBe(expected.containerMetricSeen);
        }
        windows.keep(whole, structuredClone(result.settled));
      }
    }),
    { numRuns: 100 },
  );
  // Otherwise the property would compare full reads with full reads.
  expect(continued).toBeGreaterThan(150);
  expect(spared).toBeGreaterThan(75);
});

test('what is late beside what is on time is in every value: an instance by 30 s, a custom metric by 45 s', async () => {
  const sent: Sent[] = [];
  for (let secs = -300; secs < 600; secs += 5) {
    const timeNs = began + BigInt(secs) * second;
    const report = (envelope: GaugeEnvelope, lateSecs: bigint) =>
      sent.push({ envelope, arrivesNs: timeNs + lateSecs * second });
    report(gauge(timeNs, 'cpu', 0), 0n);
    report(gauge(timeNs, 'cpu', 100, { instanceId: '1' }), 30n);
    if (secs % 15 === 0) report(gauge(timeNs, 'jobs', 7, { tags: {}, unit: 'jobs' }), 45n);
  }
  const windows = new SettledWindows();
  let wentOn = 0;
  for (let secs = 0; secs < 600; secs += 10) {
    const nowNs = began + BigInt(secs) * second;
    const whole = jobAt(nowNs);
    const settled = windows.of(whole);
    if (settled && settled.untilNs > whole.startNs) wentOn++;
    const result = await read({ ...whole, settled }, storeAt(sent, nowNs));
    // 24 samples of the one instance and 19 of the other.
    expect(result.outcomes).toMatchObject({
      cpu: { kind: 'value', value: 45n },
      jobs: { kind: 'value', value: 7n, unit: 'jobs' },
    });
    windows.keep(whole, result.settled);
  }
  expect(wentOn).toBeGreaterThan(50);
});

test('where a new instance reports late the window is read once more as a whole', async () => {
  const sent: Sent[] = [];
  for (let secs = -120n; secs < 100n; secs += 5n) {
    const timeNs = began + secs * second;
    sent.push({ envelope: gauge(timeNs, 'cpu', 0), arrivesNs: timeNs });
    if (secs < 0n) continue;
    sent.push({
      envelope: gauge(timeNs, 'cpu', 100, { instanceId: '1' }),
      arrivesNs: timeNs + 30n * second,
    });
  }
  const at = (secs: bigint) => storeAt(sent, began + secs * second);
  const first = await read(jobAt(began), at(0n));
  const next = jobAt(began + 30n * second);
  const second_ = await read({ ...next, settled: first.settled }, at(30n));
  expect(second_.outcomes['cpu']).toEqual((await read(next, at(30n))).outcomes['cpu']);
  const cost = noCost();
  const last = jobAt(began + 60n * second, { settled: second_.settled });
  expect((await read(last, at(60n), cost)).outcomes['cpu']).toMatchObject({ value: 23n });
  expect(cost.requests).toBe(1);
});

test('only what is new is read, with an overlap of 20 s', async () => {
  const store = new SimulatedStore();
  for (let secs = -120n; secs <= 40n; secs += 5n) store.add(gauge(began + secs * second, 'cpu', 3));
  const first = await read(jobAt(began), store);
  const second_ = jobAt(began + 40n * second, { settled: first.settled });
  const cost = noCost();
  expect((await read(second_, store, cost)).outcomes['cpu']).toEqual({ kind: 'value', value: 3n, unit: '%' });
  expect(store.reads[1]).toMatchObject({ startNs: began - 20n * second, endNs: began + 40n * second });
  expect(cost).toMatchObject({ requests: 1, envelopes: 12 });
});

test('a clock that is ahead of the cells does not settle what they have yet to report', async () => {
  const store = new SimulatedStore();
  for (let secs = -120n; secs <= -50n; secs += 10n) store.add(gauge(began + secs * second, 'cpu', 1));
  const { settled } = await read(jobAt(began), store);
  expect(settled?.untilNs).toBe(began - 70n * second);
});

test('where nothing new is found what was settled proves nothing, log-cache may have lost it', async () => {
  const store = new SimulatedStore();
  for (let secs = -120n; secs < 0n; secs += 15n) store.add(gauge(began + secs * second, 'cpu', 1));
  const { settled } = await read(jobAt(began), store);
  expect(settled).not.toBeNull();
  const emptied = new SimulatedStore();
  const next = jobAt(began + 40n * second, { settled });
  expect(await read(next, emptied)).toMatchObject({
    outcomes: { cpu: { kind: 'no-data' } },
    containerMetricSeen: false,
    settled: null,
  });
  // An app that has stopped is still in log-cache, and in the window.
  expect((await read(next, store)).outcomes).toMatchObject({ cpu: { kind: 'value' } });
});

test('presence is not taken from what was settled, nor its absence from what was not read', async () => {
  const store = new SimulatedStore();
  const custom = { tags: {}, unit: 'jobs' };
  for (let secs = -120n; secs < 60n; secs += 10n) store.add(gauge(began + secs * second, 'jobs', 1, custom));
  store.add(gauge(began - 121n * second, 'cpu', 1));
  const { settled } = await read(jobAt(began), store);
  expect(settled?.untilNs).toBe(began - 20n * second);
  store.add(gauge(began, 'cpu', 1, { tags: { origin: 'rep' } }));
  const soon = jobAt(began + second, { settled });
  expect((await read(soon, store)).containerMetricSeen).toBeNull();
  const later = jobAt(began + 40n * second, { settled });
  expect((await read(later, store)).containerMetricSeen).toBe(false);
});

test('where log-cache has lost what was not settled the rest of the window is read too', async () => {
  const store = new SimulatedStore();
  store.add(gauge(began - 30n * second, 'cpu', 1), gauge(began - 1n, 'cpu', 1));
  const { settled } = await read(jobAt(began), store);
  const restarted = new SimulatedStore();
  restarted.add(gauge(began, 'cpu', 9, { instanceId: '1' }));
  const next = jobAt(began + second, { settled });
  expect((await read(next, restarted)).outcomes['cpu']).toMatchObject({ value: 9n });
  expect(restarted.reads).toHaveLength(2);
});

test('a sum that a number cannot hold exactly is not settled but read again', async () => {
  const store = new SimulatedStore();
  for (let secs = -120n; secs < 0n; secs += 15n) store.add(gauge(began + secs * second, 'jobs', 9e18));
  const result = await read(jobAt(began), store);
  expect(result.outcomes['jobs']).toMatchObject({ value: 9_000_000_000_000_000_000n });
  expect(result.settled).toBeNull();
});

test('what is settled of an app with 500 instances stays small, and of one with thousands is not handed on', async () => {
  const settledOf = async (instances: number) => {
    const store = new SimulatedStore();
    for (let i = 0; i < instances * 8; i++) {
      store.add(gauge(began - BigInt(i + 1) * ((120n * second) / BigInt(instances * 8)), 'cpu', 1));
    }
    return (await read(jobAt(began, { gaugeTypes: ['cpu', 'memoryutil', 'memoryused'] }), store)).settled;
  };
  const settled = await settledOf(500);
  expect(settled?.rows.length).toBeGreaterThan(10_000);
  expect(settled?.rows.length).toBeLessThan(60_000);
  expect(await settledOf(3_000)).toBeNull();
});

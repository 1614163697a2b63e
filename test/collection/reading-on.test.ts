import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { noCost } from '../../src/collection/cost.js';
import type { ReadJob } from '../../src/collection/job.js';
import { readGauges } from '../../src/collection/read-gauges.js';
import { SettledWindows } from '../../src/collection/settled-windows.js';
import type { GaugeEnvelope } from '../../src/log-cache/log-cache.js';
import { appId, gauge, logCacheOf, SimulatedStore, webTags } from '../log-cache/simulated-log-cache.js';
import { ManualClock } from '../support/manual-clock.js';

/* Rounds that read only what is new find out what rounds that read the whole window do. */

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

function jobAt(endNs: bigint, over: Partial<ReadJob> = {}): ReadJob {
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

function read(job: ReadJob, store: SimulatedStore, cost = noCost()) {
  return readGauges(job, { logCache: logCacheOf(store), clock: new ManualClock(), cost });
}

const containerGauges = ['cpu', 'memory', 'memory_quota', 'cpu_entitlement'];
const values = fc.oneof(
  { weight: 160, arbitrary: fc.double({ min: 0, max: 2 ** 31, noNaN: true }) },
  { weight: 40, arbitrary: fc.constantFrom(0, -1, NaN, Infinity) },
  { weight: 1, arbitrary: fc.constantFrom(9e18, 2 ** 53) },
);
/** Not later than the overlap of 20 s. */
const delays = fc.integer({ min: 0, max: 20 }).map((secs) => BigInt(secs) * second);
/** On a coarse grid, so that the borders of windows are met, or just beside it. */
const times = fc
  .tuple(fc.integer({ min: -24, max: 60 }), fc.constantFrom(0n, 0n, 0n, 1n, -1n, 37_000n))
  .map(([step, offset]) => began + BigInt(step) * 5n * second + offset);
const tagSets = fc.constantFrom<Record<string, string>>(
  webTags('0'),
  webTags('1'),
  webTags('1'),
  webTags('2'),
  { ...webTags('0'), process_instance_id: 'other' },
  { origin: 'rep' },
  {},
);

/** What one instance reports at one time: each gauge in an envelope of its own, with a way of its own. */
const bursts = fc
  .record({
    timeNs: times,
    tags: tagSets,
    gauges: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom(...containerGauges, ...containerGauges, 'jobs', 'queue'),
        value: values,
        delayNs: delays,
        unit: fc.constantFrom('a', 'b'),
      }),
      { selector: ({ name }) => name, minLength: 1 },
    ),
  })
  .map(({ timeNs, tags, gauges }): Sent[] =>
    gauges.map(({ name, value, delayNs, unit }) => ({
      envelope: gauge(timeNs, name, value, { tags, unit, instanceId: tags['instance_id'] ?? '7' }),
      arrivesNs: timeNs + delayNs,
    })),
  );
const histories = fc
  .uniqueArray(bursts, {
    selector: ([first]) => `${first?.envelope.timestamp} ${first?.envelope.tags['process_instance_id']}`,
    minLength: 20,
    maxLength: 90,
  })
  .map((all) => all.flat());

/** Seconds since the round before; whether log-cache answered; how far our clock is behind. */
const rounds = fc.array(
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
  await fc.assert(
    fc.asyncProperty(histories, rounds, async (sent, plan) => {
      const windows = new SettledWindows();
      let nowNs = began;
      for (const { gapSecs, answered, behindSecs } of plan) {
        nowNs += BigInt(gapSecs) * second;
        const store = storeAt(sent, nowNs);
        const whole = jobAt(nowNs - BigInt(behindSecs) * second);
        const settled = windows.of(whole);
        if (!answered) continue;
        if (settled) continued++;
        const result = await read({ ...whole, settled }, store);
        const expected = await read(whole, store);
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

test('traps A2-7: where nothing new is found what was settled proves nothing, log-cache may have lost it', async () => {
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
  store.add(gauge(began - 30n * second, 'cpu', 1), gauge(began - 1n, 'cpu', 1));
  const { settled } = await read(jobAt(began), store);
  const stopped = new SimulatedStore();
  const task = { origin: 'rep' };
  stopped.add(gauge(began, 'cpu', 1, { tags: task }));
  const soon = jobAt(began + second, { settled });
  expect((await read(soon, stopped)).containerMetricSeen).toBeNull();
  const later = jobAt(began + 40n * second, { settled });
  expect((await read(later, stopped)).containerMetricSeen).toBe(false);
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

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GaugeAggregation } from '../../../src/collection/worker/gauge-aggregation.js';
import type { GaugeEnvelope } from '../../../src/log-cache/log-cache.js';
import { gauge, webTags } from '../../log-cache/simulated-log-cache.js';
import { referenceOutcome } from '../aggregation-reference.js';

const MiB = 1024 * 1024;
const all = { startNs: 0n, endNs: 100n, settled: null };
const rawGauges = ['memory', 'memory_quota', 'cpu_entitlement', 'disk_quota'];
const metricTypes = [
  ...['memoryused', 'memoryutil', 'cpu', 'cpuutil', 'disk', 'diskutil', 'jobs', '__proto__'],
  ...rawGauges,
];

function aggregate(envelopes: readonly GaugeEnvelope[], types: readonly string[] = metricTypes) {
  const aggregation = new GaugeAggregation(types, all);
  aggregation.add(envelopes);
  return aggregation;
}

function outcome(metricType: string, envelopes: readonly GaugeEnvelope[]) {
  return aggregate(envelopes, [metricType]).outcomes()[metricType];
}

const value = (v: bigint, unit: string) => ({ kind: 'value', value: v, unit });
const noData = { kind: 'no-data' };

test.each([
  ['cpu', gauge(1n, 'cpu', 12.1), 13n, '%'],
  ['cpuutil', gauge(1n, 'cpu_entitlement', 100.5), 101n, '%'],
  ['memoryused', gauge(1n, 'memory', 10 * MiB + 1), 11n, 'MB'],
  ['disk', gauge(1n, 'disk', 3 * MiB), 3n, 'MB'],
  ['jobs', gauge(1n, 'jobs', -2.5, { unit: 'jobs' }), -2n, 'jobs'],
])('a sample of %s is rounded up', (metricType, envelope, expected, unit) => {
  expect(outcome(metricType, [envelope])).toEqual(value(expected, unit));
});

test('the mean of rounded samples is rounded up', () => {
  const samples = [0.2, 0.2, 1.5].map((cpu, i) => gauge(BigInt(i), 'cpu', cpu));
  expect(outcome('cpu', samples)).toEqual(value(2n, '%'));
});

test('the cpu of 0 on a first tick counts', () => {
  expect(outcome('cpu', [gauge(1n, 'cpu', 0), gauge(2n, 'cpu', 10)])).toEqual(value(5n, '%'));
});

test('usage and quota are joined from separate envelopes, in any order', () => {
  const split = [gauge(1n, 'memory_quota', 200), gauge(1n, 'memory', 50)];
  expect(outcome('memoryutil', split)).toEqual(value(25n, '%'));
  expect(outcome('memoryutil', split.reverse())).toEqual(value(25n, '%'));
});

test('usage and quota in one envelope', () => {
  const metrics = [
    { name: 'disk', unit: 'bytes', value: 7 },
    { name: 'disk_quota', unit: 'bytes', value: 100 },
  ];
  expect(outcome('diskutil', [gauge(1n, '', 0, { metrics })])).toEqual(value(7n, '%'));
});

test('usage without quota, or quota without usage, is no sample and never 0 %', () => {
  const envelopes = [
    gauge(1n, 'memory', 50),
    gauge(2n, 'memory_quota', 100),
    gauge(3n, 'memory', 50),
    gauge(3n, 'memory_quota', 100, { instanceId: '1' }),
  ];
  const aggregation = aggregate(envelopes, ['memoryutil']);
  expect(aggregation.outcomes()['memoryutil']).toEqual(noData);
  expect(aggregation.droppedSamples).toBe(0);
});

test('two containers with the same index, as in a rolling deployment, are told apart', () => {
  const tags = (guid: string) => ({ ...webTags('0'), process_instance_id: guid });
  const envelopes = [
    gauge(1n, 'memory', 10, { tags: tags('old') }),
    gauge(1n, 'memory', 90, { tags: tags('new') }),
    gauge(1n, 'memory_quota', 100, { tags: tags('new') }),
  ];
  const aggregation = aggregate(envelopes, ['memoryutil']);
  expect(aggregation.outcomes()['memoryutil']).toEqual(value(90n, '%'));
});

test.each([['TASK'], ['worker'], [undefined]])(
  'an envelope of rep with process_type %s does not count',
  (type) => {
    const tags = { origin: 'rep', ...(type === undefined ? {} : { process_type: type }) };
    expect(outcome('cpu', [gauge(1n, 'cpu', 100, { tags }), gauge(1n, 'cpu', 10)])).toEqual(value(10n, '%'));
  },
);

test('a stale or foreign instance does not halve the value', () => {
  const task = { origin: 'rep', source_id: 'app' };
  const envelopes = [gauge(1n, 'cpu', 80), gauge(1n, 'cpu', 0, { tags: task })];
  const aggregation = aggregate(envelopes, ['cpu']);
  expect(aggregation.outcomes()['cpu']).toEqual(value(80n, '%'));
});

test('custom metrics and platforms without tags count', () => {
  expect(outcome('cpu', [gauge(1n, 'cpu', 5, { tags: {} })])).toEqual(value(5n, '%'));
  const tags = { origin: 'autoscaler_metrics_forwarder' };
  expect(outcome('jobs', [gauge(1n, 'jobs', 5, { tags, unit: 'jobs' })])).toEqual(value(5n, 'jobs'));
});

describe.each(rawGauges)('a rule on %s, which is a gauge of containers and no metric type,', (name) => {
  const ofContainers = [1n, 2n].map((time) => gauge(time, name, 257_784_854, { unit: 'bytes' }));

  test('has no data', () => {
    const both = aggregate(ofContainers, [name, 'cpu']);
    expect(both.outcomes()).toEqual({ [name]: noData, cpu: noData });
  });

  test.each([[{}], [{ origin: 'autoscaler_metrics_forwarder' }]])(
    'counts the custom metric of that name alone (%j)',
    (tags) => {
      const custom = gauge(2n, name, 80, { tags, unit: 'percent' });
      expect(outcome(name, [...ofContainers, custom])).toEqual(value(80n, 'percent'));
    },
  );
});

test('the unit of a custom metric is that of its newest envelope', () => {
  const envelopes = [
    gauge(9n, 'jobs', 1, { unit: 'old' }),
    gauge(10n, 'jobs', 1, { unit: 'new' }),
    gauge(8n, 'jobs', 1, { unit: 'older' }),
  ];
  expect(outcome('jobs', envelopes)).toEqual(value(1n, 'new'));
});

test('NaN, infinities and what is beyond int64 are dropped and counted, once each', () => {
  const values = [NaN, Infinity, -Infinity, 1.8e19, -1e19];
  const envelopes = values.map((v, i) => gauge(BigInt(i), 'memory', v));
  const aggregation = aggregate([...envelopes, gauge(9n, 'memory', MiB)], ['memoryused', 'memoryutil']);
  expect(aggregation.outcomes()).toEqual({ memoryused: value(1n, 'MB'), memoryutil: noData });
  expect(aggregation.droppedSamples).toBe(5);
});

test.each([0, -1, NaN, Infinity])('a quota of %d is dropped and counted', (quota) => {
  const aggregation = aggregate([gauge(1n, 'memory', 1), gauge(1n, 'memory_quota', quota)], ['memoryutil']);
  expect(aggregation.outcomes()['memoryutil']).toEqual(noData);
  expect(aggregation.droppedSamples).toBe(1);
});

test('a percentage beyond int64 is dropped and counted', () => {
  const envelopes = [gauge(1n, 'memory', 9e18), gauge(1n, 'memory_quota', 1)];
  const aggregation = aggregate(envelopes, ['memoryutil']);
  expect(aggregation.outcomes()['memoryutil']).toEqual(noData);
  expect(aggregation.droppedSamples).toBe(1);
});

test('gauges that no rule asks for are neither counted nor dropped', () => {
  const aggregation = aggregate([gauge(1n, 'cpu_entitlement', NaN)], ['cpu']);
  expect(aggregation.outcomes()).toEqual({ cpu: noData });
  expect(aggregation.droppedSamples).toBe(0);
});

test('a custom metric may be named like something that every object has', () => {
  const outcomes = aggregate(
    [gauge(1n, '__proto__', 3, { unit: 'u' })],
    ['__proto__', 'constructor'],
  ).outcomes();
  expect(Object.entries(outcomes)).toEqual([
    ['__proto__', value(3n, 'u')],
    ['constructor', noData],
  ]);
});

const gaugeNames = [
  'memory',
  'memory_quota',
  'cpu',
  'cpu_entitlement',
  'disk',
  'disk_quota',
  'jobs',
  '__proto__',
];
const sampleValues = fc.oneof(
  fc.double({ min: -10, max: 1_000 }),
  fc.double({ min: 0, max: 2 ** 34 }),
  fc.constantFrom(0, NaN, Infinity, -Infinity, 2 ** 63, 9e18, 1e-300),
  fc.double(),
);
const tagSets = fc.constantFrom<Record<string, string>>(
  webTags('0'),
  webTags('1'),
  { ...webTags('0'), process_instance_id: 'other' },
  { origin: 'rep', process_type: 'worker' },
  { origin: 'rep' },
  { origin: 'somewhere' },
  {},
);
const window = fc
  .uniqueArray(
    fc.record({
      timestamp: fc.integer({ min: 1, max: 6 }).map(String),
      instanceId: fc.constantFrom('0', '1'),
      tags: tagSets,
      name: fc.constantFrom(...gaugeNames),
      value: sampleValues,
    }),
    // One value of a gauge per instance and time, as containers report them.
    {
      selector: (g) => [g.timestamp, g.tags['process_instance_id'] ?? g.instanceId, g.name].join(),
      maxLength: 60,
    },
  )
  .map((gauges) =>
    gauges.map(({ name, value: v, timestamp, ...more }) =>
      // The unit follows from the time, so that the newest one is the same whatever the order of equals.
      gauge(BigInt(timestamp), name, v, { ...more, unit: `unit ${timestamp}` }),
    ),
  );

const shuffledWindow = window.chain((envelopes) =>
  fc.record({
    envelopes: fc.constant(envelopes),
    shuffled: fc.shuffledSubarray(envelopes, { minLength: envelopes.length }),
    pageLength: fc.integer({ min: 1, max: 20 }),
  }),
);

test('every app metric is what the design says, whatever the order and the pages', () => {
  fc.assert(
    fc.property(shuffledWindow, ({ envelopes, shuffled, pageLength }) => {
      const aggregation = new GaugeAggregation(metricTypes, all);
      for (let at = 0; at < shuffled.length; at += pageLength) {
        aggregation.add(shuffled.slice(at, at + pageLength));
      }
      const expected = metricTypes.map((type) => [type, referenceOutcome(type, envelopes)]);
      expect(Object.entries(aggregation.outcomes())).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test('containers are counted, those that do not count for the app apart, and senders of custom metrics not at all', () => {
  const worker = { ...webTags('0'), process_type: 'worker' };
  const { containers } = aggregate([
    ...['0', '1', '0'].map((index) => gauge(1n, 'cpu', 1, { tags: webTags(index) })),
    gauge(1n, 'memory', 1, { tags: { origin: 'rep' } }),
    gauge(1n, 'cpu', 1, { tags: worker }),
    gauge(2n, 'cpu', 1, { tags: worker }),
    gauge(1n, 'jobs', 1, { tags: {} }),
  ]);
  expect(containers).toEqual({ web: 2, others: 2 });
});

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ManualClock } from '../support/manual-clock.js';
import type { AppOptions } from './app-model.js';
import { Apps } from './apps.js';
import { requestsBetween, tallyRequests } from './http-requests.js';
import { constantLoad, keyframes } from './load-script.js';
import { LogCacheStore } from './log-cache-store.js';
import { printFloat } from './promql/answer.js';
import type { Sample } from './promql/aggregate.js';
import { parsePromql } from './promql/parse.js';
import { checkReprinted, printDuration } from './promql/reprint.js';
import { Truth } from './truth.js';

const load = constantLoad({ requestsPerSecond: 90, cpuPercent: 120, memoryMiB: 0 });

function logCache(...options: Partial<AppOptions>[]) {
  const clock = new ManualClock(1_700_000_000_400);
  const context = { originUs: clock.now() * 1000, seed: 3, retentionUs: 7200e6 };
  const apps = new Apps(context, clock);
  for (const each of options) apps.add({ guid: 'shop', load, ...each });
  const store = new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 0 });
  const vector = (query: string, time: string | null = '1700000000'): readonly Sample[] => {
    const { result } = store.instantQuery(query, time);
    if (result.type !== 'vector') throw new Error(`a ${result.type} instead of a vector`);
    return result.samples;
  };
  return { clock, apps, store, vector, truth: new Truth(apps, store) };
}

describe('the queries of autoscalers', () => {
  const windowUs = [1_699_999_960e6, 1_700_000_000e6] as const;

  test('throughput by instance is what the books say', () => {
    const { vector, truth } = logCache({ instances: 4 });
    const samples = vector(
      `sum by (source_id, instance_id) (count_over_time(http{source_id="shop",peer_type="Client"}[40s])) / 40`,
    );
    const expected = truth.requests('shop', ...windowUs).map(({ instanceId, count }) => ({
      labels: { source_id: 'shop', instance_id: instanceId },
      value: count / 40,
    }));
    expect(samples).toEqual(expected);
    expect(samples).toHaveLength(4);
    expect(samples.reduce((sum, { value }) => sum + value, 0)).toBeCloseTo(90, 0);
  });

  test('response time by instance is the mean in ms', () => {
    const { vector, truth } = logCache({ instances: 3, serviceTimeMs: 20, capacityRps: 60 });
    const samples = vector(
      `avg by (instance_id) (max_over_time(http{source_id='shop',peer_type='Client'}[40s])) / (1000 * 1000)`,
    );
    expect(samples.map(({ value }) => value)).toEqual(
      truth.requests('shop', ...windowUs).map(({ sumNs, count }) => sumNs / count / 1e6),
    );
    expect(samples[0]?.value).toBeCloseTo(40, 5);
  });

  test('one query asks for several apps by their literal ids, and unknown ones have no sample', () => {
    const { vector } = logCache({ guid: 'a' }, { guid: 'b', instances: 2 }, { guid: 'c' });
    const samples = vector(
      `sum by (source_id) (count_over_time(http{source_id=~"a|b|nobody",peer_type="Client"}[40s])) / 40`,
    );
    expect(samples.map(({ labels }) => labels)).toEqual([{ source_id: 'a' }, { source_id: 'b' }]);
    expect(vector(`sum(count_over_time(http{source_id=~".*"}[40s]))`)).toEqual([]);
  });

  test('without peer_type every request counts twice, the second time for instance 0', () => {
    const { vector } = logCache({ instances: 2 });
    const samples = vector(`sum by (instance_id) (count_over_time(http{source_id="shop"}[40s])) / 40`);
    const byInstance = new Map(samples.map(({ labels, value }) => [labels['instance_id'], value]));
    expect(byInstance.get('0')).toBeCloseTo(135, 0);
    expect(byInstance.get('1')).toBeCloseTo(45, 0);
  });
});

const countOfRequests = `sum(count_over_time(http{source_id="shop",peer_type="Client"}[20s]))`;

function injectRequests(store: LogCacheStore, atUs: number, offsetsUs: readonly number[]): void {
  for (const [i, offsetUs] of offsetsUs.entries()) {
    const timestampUs = atUs + offsetUs;
    store.inject({
      timestampUs,
      sourceId: 'shop',
      instanceId: '0',
      tags: { peer_type: 'Client', request_id: String(i) },
      body: { type: 'TIMER', name: 'http', startUs: timestampUs - 5, stopUs: timestampUs },
    });
  }
}

test('requests that tie at the border of a page are lost, all but the first', () => {
  const { store, vector } = logCache({ load: constantLoad({}) });
  const atUs = 1_699_999_990e6;
  // 99 apart, then three at once: the page of 100 ends with the first of them.
  const offsetsUs = Array.from({ length: 110 }, (_, i) => (i < 99 || i > 101 ? i : 99));
  injectRequests(store, atUs, offsetsUs);
  expect(vector(countOfRequests)[0]?.value).toBe(108);
});

test('pages are counted from a second before the window', () => {
  const { store, vector } = logCache({ load: constantLoad({}) });
  const atUs = 1_699_999_980e6;
  // 30 in the second before; 69, and two at once at the end of the page of 100; and 20 more.
  const offsetsUs = [
    ...Array.from({ length: 30 }, (_, i) => i - 1e6),
    ...Array.from({ length: 69 }, (_, i) => i),
    ...[500, 500],
    ...Array.from({ length: 20 }, (_, i) => 1000 + i),
  ];
  injectRequests(store, atUs, offsetsUs);
  expect(vector(countOfRequests)[0]?.value).toBe(90);
});

test('the largest and smallest of numbers and NaN are numbers', () => {
  const { store, vector } = logCache({ load: constantLoad({}) });
  for (const [i, value] of [5, NaN, 3, NaN].entries()) {
    store.inject({
      timestampUs: 1_699_999_990e6 + i,
      sourceId: 'queue',
      instanceId: String(i),
      tags: {},
      body: { type: 'GAUGE', metrics: { depth: { unit: '', value } } },
    });
  }
  for (const [name, value] of [
    ['max', 5],
    ['min', 3],
  ] as const) {
    expect(vector(`${name}(depth{source_id="queue"})`)[0]?.value).toBe(value);
  }
});

test('an instance matcher looks at tags, which Client events do not have', () => {
  const { vector } = logCache({ instances: 2 });
  expect(
    vector(`sum(count_over_time(http{source_id="shop",peer_type="Client",instance_id="1"}[40s]))`),
  ).toEqual([]);
  expect(vector(`sum(cpu{source_id="shop",instance_id="1"})`)).toHaveLength(1);
});

test('requests taken one by one add up to their closed form', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3_000 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 0, max: 2_500_000 }),
      fc.integer({ min: 0, max: 3_000_000 }),
      fc.constantFrom('Client' as const, 'Server' as const),
      (rate, instances, offsetUs, lengthUs, peer) => {
        const ramp = keyframes([
          { atSecs: -60, load: {} },
          { atSecs: 0, load: { requestsPerSecond: rate } },
        ]);
        const { apps } = logCache({ instances, load: ramp, capacityRps: 300 });
        const app = apps.require('shop');
        const fromUs = 1_699_999_970e6 + offsetUs;
        for (const container of app.containers) {
          const tally = tallyRequests(app, container, peer, fromUs, fromUs + lengthUs);
          const requests = [...requestsBetween(app, container, peer, fromUs, fromUs + lengthUs)];
          const durations = requests.map(({ durationUs }) => durationUs);
          expect(tally).toEqual({
            count: requests.length,
            sumUs: durations.reduce((a, b) => a + b, 0),
            minUs: Math.min(...durations),
            maxUs: Math.max(...durations),
          });
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('every request is a series of its own', () => {
  const { vector } = logCache({ instances: 1 });
  const query = `count_over_time(http{source_id="shop",peer_type="Client"}[2s])`;
  const samples = vector(query);
  expect(samples).toHaveLength(180);
  expect(new Set(samples.map(({ value }) => value))).toEqual(new Set([1]));
  expect(vector(`count(${query})`)).toEqual([{ labels: {}, value: 180 }]);
  expect(vector(`sum without (request_id) (${query})`)[0]?.value).toBe(180);
});

test('a fraction of a second in the time costs up to a second of data', () => {
  const { vector } = logCache({ instances: 1 });
  const count = (time: string) =>
    vector(`sum(count_over_time(http{source_id="shop",peer_type="Client"}[10s]))`, time)[0]?.value;
  expect(count('1700000000')).toBe(900);
  expect(count('1700000000.3')).toBeLessThan(850);
  expect(count('2023-11-14T22:13:20Z')).toBe(900);
});

test('a plain selector returns the last value of each series, and a range its points on whole seconds', () => {
  const { vector, store, truth } = logCache({ instances: 2 });
  const last = truth
    .samples('shop', 'cpu', 1_699_999_700e6, 1_700_000_000e6)
    .filter((s) => s.instanceId === '1')
    .at(-1);
  const samples = vector(`cpu{source_id="shop"}`);
  expect(samples.find(({ labels }) => labels['instance_id'] === '1')?.value).toBe(last?.value);
  const { result } = store.instantQuery(`cpu{source_id="shop"}[60s]`, '1700000000');
  expect(result.type === 'matrix' && result.series.map(({ points }) => points.length)).toEqual([4, 4]);
  expect(result.type === 'matrix' && result.series[0]?.points.every(({ timeUs }) => timeUs % 1e6 === 0)).toBe(
    true,
  );
});

test('vectors with equal labels can be divided by each other', () => {
  const { vector } = logCache({ instances: 1, noise: 0, idleMemoryMiB: 128, memoryQuotaMiB: 512 });
  expect(vector(`100 * avg(memory{source_id="shop"}) / avg(memory_quota{source_id="shop"})`)).toEqual([
    { labels: {}, value: 25 },
  ]);
});

test.each([
  ['1m30s in a range', `count_over_time(http{source_id="a"}[1m30s])`],
  ['milliseconds', `count_over_time(http{source_id="a"}[1500ms])`],
  ['an unknown function', `predict(http{source_id="a"}[40s])`],
  ['an open parenthesis', `sum(cpu{source_id="a"}`],
  ['an instant vector where a range belongs', `max_over_time(cpu{source_id="a"})`],
  ['nothing', ` `],
])('%s is a parse error', (_what, query) => {
  expect(() => parsePromql(query)).toThrow(/^parse error at char \d+: /);
});

test('a selector without source_id is an engine error', () => {
  const { vector } = logCache({});
  expect(() => vector(`sum(cpu)`)).toThrow("metric 'cpu' does not have a 'source_id' label");
});

test.each([
  [40, '40s'],
  [60, '1m'],
  [90, '1m30s'],
  [3600, '1h'],
  [5400, '1h30m'],
  [90_000, '1d1h'],
  [86_400, '1d'],
])('the auth proxy prints %i seconds as %s', (secs, printed) => {
  expect(printDuration(secs)).toBe(printed);
  const check = () => checkReprinted(parsePromql(`count_over_time(http{source_id="a"}[${secs}s])`));
  if (/\d[a-z]\d/.test(printed)) expect(check).toThrow('bad duration syntax');
  else expect(check).not.toThrow();
});

test('an offset is printed anew like a range', () => {
  const check = (offset: string) => () => checkReprinted(parsePromql(`cpu{source_id="a"} offset ${offset}`));
  expect(check('60s')).not.toThrow();
  expect(check('90s')).toThrow(new Error('parse error at char 27: bad number or duration syntax: "1m3"'));
});

test('values are printed without exponents', () => {
  expect([1e21, 1.5e-7, -2e22, 12.75, NaN, Infinity].map(printFloat)).toEqual([
    '1000000000000000000000',
    '0.00000015',
    '-20000000000000000000000',
    '12.75',
    'NaN',
    '+Inf',
  ]);
});

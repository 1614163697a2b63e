import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { Apps } from './apps.js';
import type { Envelope } from './envelope.js';
import { constantLoad } from './load-script.js';
import { LogCacheStore } from './log-cache-store.js';
import { parsePromql } from './promql/parse.js';
import { rangeQueryOf } from './promql/query.js';

/* The values are those that log-cache 3.2.12 returned for the same envelopes. Times are in seconds before this one. */
const end = 1_700_000_000;

function depth(sourceId: string, secsBefore: number, value: number, instanceId = '0'): Envelope {
  const timestampUs = Math.round((end - secsBefore) * 1e6);
  const body = { type: 'GAUGE', metrics: { depth: { unit: '', value } } } as const;
  return { timestampUs, sourceId, instanceId, tags: {}, body };
}

function received(secsBefore: number, total: number, sourceId = 'app'): Envelope {
  const timestampUs = Math.round((end - secsBefore) * 1e6);
  const body = { type: 'COUNTER', name: 'rx', total } as const;
  return { timestampUs, sourceId, instanceId: '0', tags: {}, body };
}

function logCache(...envelopes: Envelope[]) {
  const clock = new ManualClock(end * 1000);
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 3, retentionUs: 7200e6 }, clock);
  const store = new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 0 });
  for (const envelope of envelopes) store.inject(envelope);
  return {
    apps,
    values: (query: string, secsBefore = 0) => {
      const { result } = store.instantQuery(query, String(end - secsBefore));
      if (result.type !== 'vector') throw new Error(`a ${result.type} instead of a vector`);
      return result.samples.map(({ value }) => value);
    },
    /** The series of a range query: the labels of each, and its points as seconds before the end and values. */
    range: (query: string, from: number, to: number, step: string) => {
      const texts = { start: String(end - from), end: String(end - to), step };
      const result = store.evaluate(rangeQueryOf(query, texts));
      if (result.type !== 'matrix') throw new Error(`a ${result.type} instead of a matrix`);
      return result.series.map(({ labels, points }) => ({
        labels,
        points: points.map(({ timeUs, value }) => [end - timeUs / 1e6, value]),
      }));
    },
  };
}

describe('rate', () => {
  const young = [5, 130, 150, 190].map((total, i) => received(50 - 15 * i, total, 'young'));
  const { values } = logCache(
    received(50, 100),
    received(35, 130),
    received(20, 20),
    received(5, 60),
    ...young,
  );

  test.each([
    // 45 s between the first and the last point are taken for the whole minute, and a fall for a new beginning at 0.
    ['rate(rx{source_id="app"}[1m])', [2]],
    ['rate(rx{source_id="app"}[40s])', [2]],
    // The points end 10 s before the window does.
    ['rate(rx{source_id="app"}[40s] offset 10s)', [1.6666666666666665]],
    // The window begins long before the points do.
    ['rate(rx{source_id="app"}[2m])', [0.9583333333333333]],
    // At its rise this counter was at zero not long before its first point.
    ['rate(rx{source_id="young"}[1m])', [3.509259259259259]],
    ['rate(rx{source_id="young"}[2m])', [1.7546296296296295]],
    // A single point has none.
    ['rate(rx{source_id="app"}[10s])', []],
    ['sum(rate(rx{source_id="app"}[1m]))', [2]],
  ])('%s', (query, expected) => {
    expect(values(query)).toEqual(expected);
  });

  test('is extended to an end of the window that is near, and by half a distance of points otherwise', () => {
    const query = 'rate(rx{source_id="app"}[1m])';
    expect(values(query, -11)).toEqual([2]);
    expect(values(query, -15)).toEqual([1.5833333333333333]);
  });

  test('requests have none, because each is a series of its own', () => {
    const { apps, values: valuesOf } = logCache();
    apps.add({ guid: 'app', load: constantLoad({ requestsPerSecond: 10, cpuPercent: 1 }) });
    expect(valuesOf('sum(count_over_time(http{source_id="app",peer_type="Client"}[40s]))')).toEqual([400]);
    expect(valuesOf('sum(rate(http{source_id="app",peer_type="Client"}[40s]))')).toEqual([]);
  });
});

describe('topk and quantile', () => {
  const queue = [4, 1, 9, NaN].map((value, i) => depth('queue', 10, value, String(i)));
  const { values } = logCache(...queue);

  test.each([
    ['topk(2, depth{source_id="queue"})', [9, 4]],
    ['topk(2.9, depth{source_id="queue"})', [9, 4]],
    ['topk(100, depth{source_id="queue"})', [9, 4, 1, NaN]],
    ['topk by (instance_id) (1, depth{source_id="queue"})', [4, 1, 9, NaN]],
    ['topk(0, depth{source_id="queue"})', []],
    ['topk(2 - 3, depth{source_id="queue"})', []],
    // NaN counts as the least value.
    ['quantile(0.5, depth{source_id="queue"})', [2.5]],
    ['quantile(0.9, depth{source_id="queue"})', [7.500000000000001]],
    ['quantile(1, depth{source_id="queue"})', [9]],
    ['quantile(2, depth{source_id="queue"})', [Infinity]],
    ['quantile(-1, depth{source_id="queue"})', [-Infinity]],
    ['quantile(0.5, depth{source_id="nobody"})', []],
  ])('%s', (query, expected) => {
    expect(values(query)).toEqual(expected);
  });

  test('topk keeps all labels, quantile those of its group', () => {
    const labels = (query: string) =>
      logCache(...queue)
        .range(query, 0, 0, '1')
        .map((series) => series.labels);
    const kept = [{ source_id: 'queue', instance_id: '2' }];
    expect(labels('topk by (source_id) (1, depth{source_id="queue"})')).toEqual(kept);
    expect(labels('quantile by (source_id) (1, depth{source_id="queue"})')).toEqual([{ source_id: 'queue' }]);
  });

  test.each([
    ['topk(1e30, depth{source_id="queue"})', 'Scalar value 1e+30 overflows int64'],
    ['topk(1 / 0, depth{source_id="queue"})', 'Scalar value +Inf overflows int64'],
    ['topk(0 / 0, depth{source_id="queue"})', 'Scalar value NaN overflows int64'],
    [
      'quantile(0 / 0, depth{source_id="queue"})',
      'unexpected error: runtime error: index out of range [-9223372036854775808]',
    ],
  ])('%s fails', (query, error) => {
    expect(() => values(query)).toThrow(error);
  });

  test('response times of single requests have quantiles', () => {
    const { apps, values: valuesOf } = logCache();
    const load = constantLoad({ requestsPerSecond: 20, cpuPercent: 1 });
    apps.add({ guid: 'app', instances: 2, load });
    const http = 'max_over_time(http{source_id="app",peer_type="Client"}[40s])';
    const [least = 0, median = 0, most = 0] = [0, 0.5, 1].flatMap((q) => valuesOf(`quantile(${q}, ${http})`));
    expect([least]).toEqual(valuesOf(`min(${http})`));
    expect([most]).toEqual(valuesOf(`topk(1, ${http})`));
    expect(median).toBeGreaterThan(least);
    expect(median).toBeLessThan(most);
  });
});

test.each([
  ['before', [depth('app', 30, Infinity), depth('app', 20, 1)], NaN],
  ['after', [depth('app', 30, 1), depth('app', 20, Infinity)], Infinity],
])('the mean of an infinite value %s a number', (_where, envelopes, mean) => {
  expect(logCache(...envelopes).values('avg_over_time(depth{source_id="app"}[1m])')).toEqual([mean]);
});

describe('of several points in the second at which a window ends', () => {
  const { values, range } = logCache(
    depth('app', 30.5, 1),
    depth('app', 20, 2),
    depth('app', 19.5, 3),
    depth('app', 19.2, 4),
    depth('app', 10.5, 5),
  );

  test.each([
    ['depth{source_id="app"} offset 20s', [2]],
    ['depth{source_id="app"} offset 19s', [4]],
    ['count_over_time(depth{source_id="app"}[10s] offset 20s)', [1]],
    ['count_over_time(depth{source_id="app"}[10s] offset 19s)', [3]],
    ['count_over_time(depth{source_id="app"}[20s])', [4]],
  ])('only the first counts: %s', (query, expected) => {
    expect(values(query)).toEqual(expected);
  });

  test('none is seen where the query ends, too', () => {
    expect(values('depth{source_id="app"}', 20)).toEqual([1]);
  });

  test('the others are lost for the steps that follow', () => {
    const count = 'count_over_time(depth{source_id="app"}[20s])';
    const points = (from: number, to: number) => range(count, from, to, '10').map((series) => series.points);
    expect(points(30, 10)).toEqual([
      [
        [30, 1],
        [20, 2],
        [10, 2],
      ],
    ]);
    expect(points(25, 5)).toEqual([
      [
        [25, 1],
        [15, 4],
        [5, 4],
      ],
    ]);
  });
});

describe('a range query', () => {
  const { range } = logCache(
    depth('b', 25, 7),
    depth('a', 35, 1, '1'),
    depth('a', 15, 2, ''),
    depth('a', 5, 3, ''),
  );

  test('has a series for each set of labels, in their order, with a point for each step at which there is a value', () => {
    expect(range('depth{source_id=~"b|a"}', 40, 0, '10s')).toEqual([
      { labels: { source_id: 'b', instance_id: '0' }, points: [20, 10, 0].map((before) => [before, 7]) },
      { labels: { source_id: 'a', instance_id: '1' }, points: [30, 20, 10, 0].map((before) => [before, 1]) },
      {
        labels: { source_id: 'a' },
        points: [
          [10, 2],
          [0, 3],
        ],
      },
    ]);
  });

  test('looks at the offset of every step', () => {
    expect(range('depth{source_id="b"} offset 20s', 10, 0, '5')[0]?.points).toEqual([
      [5, 7],
      [0, 7],
    ]);
  });

  test('of a scalar has one series', () => {
    expect(range('1 + 1', 2, 0, '1')).toEqual([
      {
        labels: {},
        points: [
          [2, 2],
          [1, 2],
          [0, 2],
        ],
      },
    ]);
  });

  test.each([
    ['7', [10, 3]],
    ['2.5', [10, 7.5, 5, 2.5, 0]],
    ['3e0', [10, 7, 4, 1]],
    ['4s', [10, 6, 2]],
    ['1500ms', [10, 8.5, 7, 5.5, 4, 2.5, 1]],
    ['1m30s', [10]],
    ['1d1h', [10]],
  ])('understands the step %s', (step, times) => {
    expect(range('1', 10, 0, step)[0]?.points.map(([before]) => before)).toEqual(times);
  });

  test.each(['', 'x', '0.5s', '1s1m', '5 s', ' 5', '1e400'])('cannot parse the step "%s"', (step) => {
    const error = `couldn't parse step: cannot parse "${step}" to a valid step`;
    expect(() => range('1', 10, 0, step)).toThrow(new Error(error));
  });

  test.each([
    ['1', 10, 0, '1e10', `couldn't parse step: cannot parse "1e10" to a valid step. It overflows int64`],
    ['1', 10, 0, '0', 'unexpected error: runtime error: integer divide by zero'],
    ['1', 10, 0, '0.0001', 'unexpected error: runtime error: integer divide by zero'],
    ['1', 10, 0, '-5', 'unexpected error: runtime error: makeslice: cap out of range'],
    ['1', 0, 10, '5', 'unexpected error: runtime error: makeslice: cap out of range'],
    [
      'cpu{source_id="a"}[1m]',
      10,
      0,
      '5',
      'invalid expression type "range vector" for range query, must be Scalar or instant Vector',
    ],
  ])('refuses %s from %i to %i by %s', (query, from, to, step, error) => {
    expect(() => range(query, from, to, step)).toThrow(new Error(error));
  });

  test('whose end is just before its start is empty', () => {
    expect(range('depth{source_id="b"}', 0, 1, '5')).toEqual([]);
  });

  test('needs a start and an end', () => {
    const texts = { start: String(end), end: String(end), step: '1' };
    const wrong = (name: string) =>
      `couldn't parse ${name}: cannot parse "" to a valid Unix or RFC3339 timestamp`;
    expect(() => rangeQueryOf('1', { ...texts, start: '' })).toThrow(wrong('start'));
    expect(() => rangeQueryOf('1', { ...texts, end: '' })).toThrow(wrong('end'));
    const rfc3339 = rangeQueryOf('1', { ...texts, start: '2023-11-14T23:13:10.5+01:00' });
    expect(rfc3339.times.startMs).toBe((end - 9.5) * 1000);
  });
});

test.each([
  ['cpu{source_id="a"} OFFSET 1m', 60],
  ['cpu{source_id="a"}[1m] offset 1h', 3600],
])('the offset of %s is %i s', (query, secs) => {
  const expression = parsePromql(query);
  expect(expression.type === 'selector' && expression.offset?.secs).toBe(secs);
});

test.each([
  [
    'sum(cpu{source_id="a"}[1m])',
    28,
    'expected type instant vector in aggregation expression, got range vector',
  ],
  ['topk(1, 2)', 11, 'expected type instant vector in aggregation expression, got scalar'],
  [
    'topk(cpu{source_id="a"}, cpu{source_id="a"})',
    45,
    'expected type scalar in aggregation parameter, got instant vector',
  ],
  [
    'rate(cpu{source_id="a"})',
    25,
    'expected type range vector in call to function "rate", got instant vector',
  ],
  ['cpu{source_id="a"}[1m] + 1', 27, 'binary expression must contain only scalar and instant vector types'],
  ['cpu{source_id="a"} offset 0s', 27, 'duration must be greater than 0'],
  ['cpu{source_id="a"} offset 1m30s', 27, 'bad number or duration syntax: "1m3"'],
])('%s is a parse error', (query, position, reason) => {
  expect(() => parsePromql(query)).toThrow(new Error(`parse error at char ${position}: ${reason}`));
});

test.each([
  'topk(1)',
  'quantile(cpu{source_id="a"})',
  'rate()',
  'rate(cpu{source_id="a"}[1m], 5)',
  'sum(cpu{source_id="a"}) offset 1m',
  '(cpu{source_id="a"}) offset 1m',
  'cpu{source_id="a"} offset 1',
  'cpu{source_id="a"} offset -1m',
  'cpu offset 1m {source_id="a"}',
  'last_over_time(cpu{source_id="a"}[1m])',
])('%s is none that log-cache could parse', (query) => {
  expect(() => parsePromql(query)).toThrow(/^parse error at char \d+: /);
});

test('keywords may be in capitals, and functions name metrics too', () => {
  expect(parsePromql('SUM(cpu{source_id="a"}) BY (instance_id)')).toEqual(
    parsePromql('sum by (instance_id) (cpu{source_id="a"})'),
  );
  expect(parsePromql('rate{source_id="a"}')).toMatchObject({ type: 'selector', name: 'rate' });
});

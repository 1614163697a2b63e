import { describe, expect, test } from '@jest/globals';
import type { AppMetric } from '../../src/history/app-metric.js';
import { History, ringCapacity } from '../../src/history/history.js';
import { createMetrics } from '../../src/observability/metrics.js';

function metric(
  appId: string,
  metricType: string,
  timestampNs: bigint,
  value: bigint | null = 1n,
): AppMetric {
  return { appId, metricType, timestampNs, value, unit: value === null ? '' : '%' };
}

function createHistory() {
  const metrics = createMetrics();
  const history = new History(metrics);
  const rings = async () => (await metrics.historyRings.get()).values[0]?.value;
  return { history, rings };
}

describe('the capacity of a ring', () => {
  test.each([
    ['the cache size where rules need less', 100, 120, 40_000, 100],
    ['twice the collections of the breach duration, two a minute and two more', 2, 120, 40_000, 12],
    ['enough for the longest breach duration at a short interval', 100, 3600, 1000, 7322],
    ['rounded up', 1, 60, 41_000, 7],
    ['bounded whatever a policy asks for', 100, 1e12, 40_000, 20_000],
  ])('is %s', (_, cacheSize, longestSecs, intervalMs, expected) => {
    expect(ringCapacity(cacheSize, longestSecs, intervalMs)).toBe(expected);
  });
});

describe('histories are kept per app and metric type', () => {
  test('a busy metric type pushes nothing out of another one', () => {
    const { history } = createHistory();
    history.record(metric('a', 'memoryused', 1n), 3);
    for (let i = 1n; i <= 100n; i++) history.record(metric('a', 'cpu', i), 3);
    expect(history.series('a', 'cpu')?.size).toBe(3);
    expect(history.series('a', 'memoryused')?.size).toBe(1);
  });

  test('a ring takes on the capacity that the newest policy asks for', () => {
    const { history } = createHistory();
    for (let i = 1n; i <= 10n; i++) history.record(metric('a', 'cpu', i), 10);
    history.record(metric('a', 'cpu', 11n), 4);
    expect(history.series('a', 'cpu')?.size).toBe(4);
    history.seed('a', 'cpu', [metric('a', 'cpu', 5n)], 6);
    expect(history.series('a', 'cpu')?.size).toBe(5);
  });
});

describe('what no policy needs any more is dropped', () => {
  test('retain keeps the wanted metric types of an app', async () => {
    const { history, rings } = createHistory();
    for (const [app, type] of [
      ['a', 'cpu'],
      ['a', 'disk'],
      ['b', 'cpu'],
    ] as const) {
      history.record(metric(app, type, 1n), 10);
    }
    expect(await rings()).toBe(3);
    history.retain('a', new Set(['disk', 'throughput']));
    history.retain('never seen', new Set(['cpu']));
    expect(history.series('a', 'cpu')).toBeUndefined();
    expect(history.series('b', 'cpu')?.size).toBe(1);
    expect(history.series('a', 'disk')?.size).toBe(1);
    expect(await rings()).toBe(2);
  });

  test('a thousand generations of apps leave only the last', async () => {
    const { history, rings } = createHistory();
    for (let generation = 0; generation < 1000; generation++) {
      const appId = `app-${generation}`;
      history.record(metric(appId, 'cpu', 1n), 10);
      history.seed(appId, 'disk', [metric(appId, 'disk', 1n)], 10);
      history.forget(`app-${generation - 1}`);
    }
    expect(await rings()).toBe(2);
    history.forget('app-999');
    history.forget('never seen');
    expect(await rings()).toBe(0);
  });
});

describe('a history query', () => {
  const query = { appId: 'a', metricType: 'cpu', startNs: 20n, endNs: 40n, order: 'ASC' } as const;

  function filled() {
    const { history } = createHistory();
    for (const timestampNs of [10n, 20n, 30n, 40n, 50n]) {
      history.record(metric('a', 'cpu', timestampNs, timestampNs === 30n ? null : timestampNs), 10);
    }
    return history;
  }

  test('is answered with both ends included, in the order asked for', () => {
    const ascending = [
      metric('a', 'cpu', 20n, 20n),
      metric('a', 'cpu', 30n, null),
      metric('a', 'cpu', 40n, 40n),
    ];
    expect(filled().range(query)).toEqual(ascending);
    expect(filled().range({ ...query, order: 'DESC' })).toEqual(ascending.toReversed());
  });

  test('with nothing in its range has an empty answer', () => {
    expect(filled().range({ ...query, startNs: 41n, endNs: 49n })).toEqual([]);
    expect(filled().range({ ...query, startNs: 40n, endNs: 20n })).toEqual([]);
  });

  test.each([
    ['begins before the ring', { startNs: 0n }],
    ['is about an unknown app', { appId: 'other' }],
    ['is about an unknown metric type', { metricType: 'disk' }],
  ])('that %s is left to the database', (_, change) => {
    expect(filled().range({ ...query, ...change })).toBeNull();
  });
});

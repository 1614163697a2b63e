import { describe, expect, jest, test } from '@jest/globals';
import type { HttpMetricType } from '../../src/collection/pool/job.js';
import { second, trustScene } from './trust-scene.js';

describe('a zero', () => {
  test('of an app whose node of log-cache died after its gauges were read, and before its query, does not count', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5);
    expect(await cycle(['cpu', 'throughput'])).toEqual([5, 5]);
    const query = store.query.bind(store);
    store.query = (question) => {
      store.sourcesOfDeadNode.add('a');
      rates.set('a', 0);
      return query(question);
    };
    expect(await cycle(['cpu', 'throughput'])).toEqual(['no-data', 5]);
  });

  test('of an app whose node of log-cache comes back after its query does not count', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5);
    expect(await cycle()).toEqual([5, 5]);
    const query = store.query.bind(store);
    store.query = (question) => {
      if (store.queries.length > 1) return query(question);
      const samples = query(question);
      return samples.filter(({ labels }) => labels['source_id'] !== 'a');
    };
    expect(await cycle()).toEqual([5, 5]);
  });

  test('counts where another app has requests in the same window', async () => {
    const { rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5).set('c', 5);
    await cycle();
    rates.set('a', 0);
    expect(await cycle()).toEqual([0, 5, 5]);
  });

  test('does not count once no app has requests that had some, until one has them again', async () => {
    const { clock, lines, metrics, evidence, rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5).set('c', 5).set('idle', 0);
    expect(await cycle()).toEqual([5, 5, 5, 0]);
    for (const appId of ['a', 'b', 'c']) rates.set(appId, 0);
    expect((await cycle()).slice(0, 3)).toEqual(['no-http-timers', 'no-http-timers', 'no-http-timers']);
    const missing = Array.from({ length: 4 }, () => 'no-http-timers');
    for (let i = 0; i < 19; i++) expect(await cycle()).toEqual(missing);
    expect(evidence.isUp()).toBe(false);
    expect((await metrics.httpTimersMissing.get()).values).toMatchObject([{ value: 1 }]);
    const errors = () => lines.filter(({ event }) => event === 'http-timers-missing').length;
    // Once, and after ten minutes.
    expect(errors()).toBe(2);

    rates.set('b', 5);
    // The first window with requests again is not whole.
    expect((await cycle())[1]).toBe('no-http-timers');
    expect(await cycle()).toEqual([0, 5, 0, 0]);
    expect(lines.filter(({ event }) => event === 'http-timers-seen-again')).toHaveLength(1);
    expect(evidence.isUp()).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  test('of an app that was idle does not count, either, once nobody has requests: it may have some by now', async () => {
    const { rates, cycle, skip } = trustScene();
    rates.set('a', 5).set('b', 5).set('c', 5).set('idle', 0);
    expect(await cycle()).toEqual([5, 5, 5, 0]);
    skip(60);
    for (const appId of ['a', 'b', 'c']) rates.set(appId, 0);
    expect(await cycle(['throughput'], ['idle'])).toEqual(['no-http-timers']);
    rates.set('a', 5);
    await cycle();
    expect(await cycle()).toEqual([5, 0, 0, 0]);
  });

  test('of an app that was idle counts without a question while others have requests', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5).set('c', 5).set('idle', 0);
    await cycle();
    const asked = store.queries.length;
    expect(await cycle(['throughput'], ['idle'])).toEqual([0]);
    expect(store.queries.length - asked).toBe(1);
  });

  test('counts where another app had requests while the others were asked', async () => {
    const { evidence } = trustScene();
    const windowSecs = 40;
    for (const appId of ['a', 'b', 'c']) evidence.traffic({ appId, timeSecs: 1_000, windowSecs });
    let answer: (hasTraffic: boolean) => void = () => {};
    const asked = () => new Promise<boolean>((resolve) => (answer = resolve));
    const isIdle = evidence.isIdle({ appId: 'a', timeSecs: 1_040, windowSecs }, asked);
    evidence.traffic({ appId: 'd', timeSecs: 1_041, windowSecs });
    answer(false);
    expect(await isIdle).toBe(true);
    expect(evidence.isUp()).toBe(true);
  });

  test('has its witnesses looked for once a second, however many apps fall silent at once', async () => {
    const { rates, cycle } = trustScene();
    for (let i = 0; i < 200; i++) rates.set(`app-${i}`, 5);
    await cycle();
    for (const appId of rates.keys()) rates.set(appId, 0);
    const sort = jest.spyOn(Array.prototype, 'sort');
    try {
      expect(new Set(await cycle())).toEqual(new Set(['no-http-timers']));
      expect(sort.mock.contexts.filter((sorted) => (sorted as unknown[]).length === rates.size)).toHaveLength(
        1,
      );
    } finally {
      sort.mockRestore();
    }
  });

  test('counts soon after a wall clock that went back, when there are timers again', async () => {
    const { rates, cycle, setClockBack } = trustScene();
    const all = (rate: number) => ['a', 'b', 'c'].forEach((appId) => rates.set(appId, rate));
    all(5);
    await cycle();
    all(0);
    expect(await cycle()).toContain('no-http-timers');
    setClockBack(3600);
    all(5);
    await cycle();
    expect(await cycle()).toEqual([5, 5, 5]);
  });

  test('of a process with two apps counts, and a line says that it cannot be told', async () => {
    const { lines, rates, cycle } = trustScene();
    rates.set('a', 5).set('b', 5);
    await cycle();
    rates.set('a', 0).set('b', 0);
    expect(await cycle()).toEqual([0, 0]);
    expect(lines.filter(({ event }) => event === 'too-few-apps-to-miss-http-timers')).toHaveLength(1);
  });

  test.each<[string, bigint | null, string | number]>([
    ['had requests', 5n, 'no-http-timers'],
    ['was no data', null, 'no-http-timers'],
    ['was idle', 0n, 0],
  ])('after a restart counts as before it, where the history %s', async (_, value, expected) => {
    const { evidence, rates, cycle, now } = trustScene();
    const metricType: HttpMetricType = 'throughput';
    for (const appId of ['a', 'b', 'c']) {
      rates.set(appId, 0);
      const older = { timestampNs: now() - 60n * second, value: 5n };
      evidence.seed(appId, metricType, [older, { timestampNs: now(), value }]);
    }
    expect(await cycle()).toEqual([expected, expected, expected]);
  });
});

test.each([
  [9, 'no-http-timers'],
  [11, 0],
])(
  'after %s minutes without a cycle, zeros of apps that had requests before are %s',
  async (minutes, expected) => {
    const { clock, rates, cycle, skip } = trustScene();
    rates.set('a', 5).set('b', 5).set('c', 5);
    await cycle();
    skip(minutes * 60);
    for (const appId of ['a', 'b', 'c']) rates.set(appId, 0);
    expect(await cycle()).toEqual([expected, expected, expected]);
    expect(clock.pendingTimers).toBe(0);
  },
);

describe('a zero of a process that has not read its histories yet', () => {
  test('counts only where another app has requests in the same window', async () => {
    const { histories, rates, cycle } = trustScene();
    histories.areRead = false;
    rates.set('a', 0).set('b', 0).set('c', 0);
    expect(await cycle()).toEqual(['no-http-timers', 'no-http-timers', 'no-http-timers']);
    rates.set('b', 5);
    expect((await cycle()).slice(1)).toEqual([5, 0]);
    rates.set('b', 0);
    histories.areRead = true;
    // Two at most have had requests: too few to tell.
    expect(await cycle()).toEqual([0, 0, 0]);
  });

  test.each<[string, bigint | null, string | number, boolean]>([
    ['had requests', 5n, 'no-http-timers', false],
    ['was no data', null, 'no-http-timers', false],
    ['was idle', 0n, 0, true],
  ])('counts as before the restart once it has, where the app %s', async (_, value, expected, isUp) => {
    const { evidence, histories, rates, cycle, now } = trustScene();
    const restartedNs = now();
    histories.areRead = false;
    for (const appId of ['a', 'b', 'c']) rates.set(appId, 0);
    await cycle();
    for (const appId of ['a', 'b', 'c']) {
      // What this process itself has stored meanwhile says nothing about the time before.
      evidence.seed(appId, 'throughput', [
        { timestampNs: restartedNs - 20n * second, value },
        { timestampNs: now(), value: null },
      ]);
    }
    histories.areRead = true;
    expect(await cycle()).toEqual([expected, expected, expected]);
    expect(evidence.isUp()).toBe(isUp);
  });
});

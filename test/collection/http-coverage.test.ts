import { describe, expect, test } from '@jest/globals';
import { Coverage } from '../../src/collection/plan/coverage.js';
import { gauge } from '../log-cache/simulated-log-cache.js';
import { intervalSecs, second, startNs, trustScene } from './trust-scene.js';

describe('an http window', () => {
  test('that log-cache holds in part only is no data, until it holds all of it', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 5);
    store.heldSinceNs = now() + 20n * second;
    expect(await cycle()).toEqual(['not-covered']);
    expect(await cycle()).toEqual([5]);
  });

  test('costs a look in the first cycle, and none later', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('shop', 5);
    for (let i = 0; i < 20; i++) await cycle();
    expect(store.looks).toHaveLength(1);
  });

  test('costs no look where the gauges that were read anyway prove that it is held', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 5);
    for (let secs = 0n; secs < 200n; secs += 15n) {
      store.add(gauge(now() + (secs - 150n) * second, 'cpu', 1, { sourceId: 'shop' }));
    }
    await cycle(['cpu', 'throughput']);
    expect(store.looks).toEqual([]);
  });

  test('is looked at anew after a fall of the rate that nobody saw a reason for', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 5);
    expect(await cycle()).toEqual([5]);
    // A restart between two cycles.
    store.heldSinceNs = now() + 25n * second;
    rates.set('shop', 2);
    expect(await cycle()).toEqual(['not-covered']);
    rates.set('shop', 5);
    expect(await cycle()).toEqual([5]);
    expect(store.looks).toHaveLength(3);
  });

  test('is looked at anew after a fall in small steps', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 20);
    await cycle();
    const found = [];
    for (const rate of [19, 18, 17, 16, 15, 14]) {
      // The app's log grows, and pushes the beginning of the window out.
      store.heldSinceNs = now() + BigInt(intervalSecs - 2 * rate) * second;
      rates.set('shop', rate);
      found.push(...(await cycle()));
    }
    expect(found).toEqual([19, 18, 17, 16, 15, 'not-covered']);
  });

  test('costs one look after a fall that is real', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('shop', 50);
    await cycle();
    rates.set('shop', 10);
    for (let i = 0; i < 10; i++) expect(await cycle()).toEqual([10]);
    expect(store.looks).toHaveLength(2);
  });

  test('of a busy app is looked at anew once the rate exceeds all that was held: log-cache may return no more', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 800);
    expect(await cycle()).toEqual([800]);
    const kept = (rate: number) => {
      rates.set('shop', rate);
      store.heldSinceNs = now() + 15n * second;
      return cycle();
    };
    // Of twelve hundred requests a second log-cache keeps so many that a query finds as many as of 833.
    expect([await kept(833), await kept(1_200)]).toEqual([['not-covered'], [1_200]]);
  });

  test('of a busy app is looked at anew now and then: its log may grow, and its rate seem to stay', async () => {
    const { store, rates, cycle } = trustScene();
    rates.set('shop', 500);
    for (let i = 0; i < 60; i++) await cycle();
    expect(store.looks).toHaveLength(3);
  });

  test('is not taken for whole where the probe for the gauges says otherwise', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 5);
    expect(await cycle()).toEqual([5]);
    store.heldSinceNs = now() + 10n * second;
    expect(await cycle(['cpu', 'throughput'])).toEqual(['not-covered']);
    expect(store.looks).toHaveLength(2);
  });

  test('is looked at anew after an outage that others saw', async () => {
    const { store, coverage, rates, cycle, now } = trustScene();
    rates.set('shop', 5).set('bank', 5);
    await cycle();
    coverage.failed('a', now(), true);
    await cycle();
    expect(store.looks).toHaveLength(2);
    coverage.failed('b', now(), true);
    await cycle();
    expect(store.looks).toHaveLength(4);
  });

  test('is looked at once after a wall clock that went back, and anew after an outage since', async () => {
    const { store, coverage, rates, cycle, now, setClockBack } = trustScene();
    rates.set('shop', 5).set('bank', 5);
    const looksIn = async (cycles: number) => {
      const before = store.looks.length;
      for (let i = 0; i < cycles; i++) await cycle();
      return store.looks.length - before;
    };
    const outage = () => ['a', 'b'].forEach((appId) => coverage.failed(appId, now(), true));
    await cycle();
    outage();
    expect(await looksIn(3)).toBe(2);
    setClockBack(3600);
    expect(await looksIn(3)).toBe(2);
    coverage.succeeded('a', 1);
    coverage.succeeded('b', 1);
    outage();
    expect(await looksIn(3)).toBe(2);
  });

  test('of which log-cache keeps the end only becomes shorter, and its rate is that of the end', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 2_000);
    const held = 25n;
    const kept = async () => {
      store.heldSinceNs = now() + (BigInt(intervalSecs) - held) * second;
      return cycle();
    };
    // Only the second look tells what is evicted from what was lost at one time.
    expect([await kept(), await kept()]).toEqual([['not-covered'], [2_000]]);
    expect(store.queries.at(-1)?.query).toContain('[21s]');
    expect(await kept()).toEqual([2_000]);
    store.heldSinceNs = 0n;
    await cycle();
    await cycle();
    expect(store.queries.at(-1)?.query).toContain('[40s]');
  });

  test('of which log-cache keeps less than a quarter stays no data', async () => {
    const { store, rates, cycle, now } = trustScene();
    rates.set('shop', 9_000);
    for (let i = 0; i < 4; i++) {
      store.heldSinceNs = now() + 32n * second;
      expect(await cycle()).toEqual(['not-covered']);
    }
  });
});

test('apps whose collection failed are forgotten, also where no app has http metrics', () => {
  const coverage = new Coverage();
  for (let i = 0; i < 1_000; i++) coverage.failed(`app-${i}`, startNs + BigInt(60 * i) * second, true);
  expect(coverage.size).toBeLessThan(20);
});

test('probes of many busy apps leave some for an app whose rate falls', () => {
  const coverage = new Coverage();
  const fullWindowSecs = 40;
  const at = (appId: string, cycle: bigint, throughput: number) => {
    const endNs = startNs + cycle * 40n * second;
    return { appId, startNs: endNs - 40n * second, endNs, fullWindowSecs, oldestReadNs: null, throughput };
  };
  const appIds = Array.from({ length: 100 }, (_, i) => `app-${i}`);
  for (const appId of [...appIds, 'falls']) coverage.probed(at(appId, 0n, 500), startNs - 60n * second);
  const probed = appIds.filter((appId) => coverage.needsProbe(at(appId, 1n, 600)));
  expect(probed.length).toBeGreaterThan(0);
  expect(probed.length).toBeLessThan(appIds.length);
  expect(coverage.needsProbe(at('falls', 1n, 300))).toBe(true);
});

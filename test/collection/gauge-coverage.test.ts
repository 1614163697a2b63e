import { describe, expect, test } from '@jest/globals';
import type { Collector } from '../../src/collection/plan/authorized-collector.js';
import { createAppCollector } from '../../src/collection/plan/collect-app.js';
import { Coverage } from '../../src/collection/plan/coverage.js';
import { HttpTimerEvidence } from '../../src/collection/plan/http-timer-evidence.js';
import { noCost } from '../../src/collection/pool/cost.js';
import { runJob } from '../../src/collection/worker/run-job.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { appId, gauge, logCacheOf, SimulatedStore } from '../log-cache/simulated-log-cache.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { intervalSecs, queries, second, startNs, valueOrReason } from './trust-scene.js';
import { trusting } from './trusting.js';
import { wholeCycle } from './whole-cycle.js';

test('gauges of which log-cache holds less than half the stat window are no data', async () => {
  const clock = new ManualClock();
  const store = new SimulatedStore();
  const evidence = new HttpTimerEvidence({
    clock,
    logger: recordingLogger().logger,
    metrics: createMetrics(),
    historiesAreRead: () => true,
  });
  const collect = async (endNs: bigint) => {
    store.add(gauge(endNs - second, 'cpu', 7, { sourceId: 'shop' }));
    const apps = createAppCollector(
      {
        collector: { run: (job) => runJob({ ...job, authorization: null }, logCacheOf(store), clock) },
        queries,
      },
      clock,
      { coverage: new Coverage(), evidence },
    );
    const request = { appId: 'shop', metricTypes: ['cpu'], endNs, statWindowSecs: 120, httpWindowSecs: 40 };
    return valueOrReason((await wholeCycle(apps.collect(request))).outcomes.get('cpu'));
  };
  store.heldSinceNs = startNs - 59n * second;
  expect(await collect(startNs)).toBe('not-covered');
  expect(await collect(startNs + second)).toBe(7);
});

describe('gauges of which log-cache holds less than half the stat window', () => {
  /** One app whose container reports about every 15 s. `held` says since when log-cache holds its envelopes. */
  function gaugeScene() {
    const clock = new ManualClock();
    const store = new SimulatedStore();
    const logCache = logCacheOf(store);
    let isAway = false;
    const run: Collector['run'] = (job) =>
      isAway
        ? Promise.resolve({ kind: 'failed', failure: 'connection', message: '', cost: noCost() })
        : runJob({ ...job, authorization: null }, logCache, clock);
    const apps = createAppCollector({ collector: { run }, queries }, clock, trusting(clock));
    let endNs = startNs;
    const cycle = async (held: (endNs: bigint) => bigint) => {
      endNs += BigInt(intervalSecs) * second;
      for (const secs of [39n, 24n, 9n]) store.add(gauge(endNs - secs * second, 'cpu', 7));
      store.heldSinceNs = held(endNs);
      const request = { appId, metricTypes: ['cpu'], endNs, statWindowSecs: 120, httpWindowSecs: 40 };
      return valueOrReason((await wholeCycle(apps.collect(request))).outcomes.get('cpu'));
    };
    /** The last seconds only: the beginning is evicted in each cycle. */
    const evicting = (secs: bigint) => cycle((now) => now - secs * second);
    const setAway = (away: boolean) => (isAway = away);
    return { store, cycle, evicting, setAway };
  }

  test('have values where the beginning is evicted in each cycle: half of it would never be held', async () => {
    const { store, evicting } = gaugeScene();
    // Only the second look tells what is evicted from what was lost at one time.
    expect(await evicting(50n)).toBe('not-covered');
    for (const secs of [50n, 40n, 30n, 40n]) expect(await evicting(secs)).toBe(7);
    expect(store.looks).toHaveLength(5);
    expect(await evicting(19n)).toBe('not-covered');
    expect(await evicting(70n)).toBe(7);
  });

  test('are no data after a loss, until half of it is held', async () => {
    const { cycle } = gaugeScene();
    const restartedNs = startNs + 30n * second;
    const found = [];
    for (let i = 0; i < 3; i++) found.push(await cycle(() => restartedNs));
    expect(found).toEqual(['not-covered', 'not-covered', 7]);
  });

  test('are no data again after an outage, in which log-cache may have been restarted', async () => {
    const { evicting, setAway } = gaugeScene();
    await evicting(50n);
    expect(await evicting(50n)).toBe(7);
    setAway(true);
    expect(await evicting(50n)).toBe('failed');
    setAway(false);
    expect(await evicting(30n)).toBe('not-covered');
    expect(await evicting(40n)).toBe(7);
  });
});

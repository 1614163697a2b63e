import { describe, expect, jest, test } from '@jest/globals';
import type { Collector } from '../../src/collection/plan/authorized-collector.js';
import { createAppCollector } from '../../src/collection/plan/collect-app.js';
import { Coverage } from '../../src/collection/plan/coverage.js';
import { HttpTimerEvidence } from '../../src/collection/plan/http-timer-evidence.js';
import type { HttpMetricType, MetricOutcome } from '../../src/collection/pool/job.js';
import { noCost } from '../../src/collection/pool/cost.js';
import { runJob } from '../../src/collection/worker/run-job.js';
import { MissingValuesWatch } from '../../src/collection/plan/missing-values-watch.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { appId, gauge, logCacheOf, SimulatedStore } from '../log-cache/simulated-log-cache.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { trusting } from './trusting.js';
import { wholeCycle } from './whole-cycle.js';

const queries = { isUp: () => true };

const second = 1_000_000_000n;
const startNs = 1_755_700_000n * second;
const intervalSecs = 40;

/** Apps whose cycles come one interval after the other, all at the same time. */
function scene() {
  const clock = new ManualClock();
  const store = new SimulatedStore();
  const { logger, lines } = recordingLogger();
  const metrics = createMetrics();
  const coverage = new Coverage();
  const histories = { areRead: true };
  const historiesAreRead = () => histories.areRead;
  const evidence = new HttpTimerEvidence({ clock, logger, metrics, historiesAreRead });
  const rates = new Map<string, number>();
  store.query = ({ query }) => {
    store.queries.push({ query, timeSecs: 0 });
    return [...rates]
      .filter(([appId, value]) => value > 0 && query.includes(appId))
      .map(([appId, value]) => ({ labels: { source_id: appId, instance_id: '0' }, value }));
  };
  const logCache = logCacheOf(store);
  const run: Collector['run'] = (job) => runJob({ ...job, authorization: null }, logCache, clock);
  const apps = createAppCollector({ collector: { run }, queries }, clock, { coverage, evidence });
  let endNs = startNs;
  /** The throughput of each app, or the reason why there is none. */
  const cycle = async (metricTypes: readonly string[] = ['throughput'], appIds = [...rates.keys()]) => {
    endNs += BigInt(intervalSecs) * second;
    for (const appId of appIds) store.add(gauge(endNs - second, 'cpu', 1, { sourceId: appId }));
    const collections = appIds.map((appId) =>
      wholeCycle(
        apps.collect({ appId, metricTypes, endNs, statWindowSecs: 120, httpWindowSecs: intervalSecs }),
      ),
    );
    for (let i = 0; i < 3; i++) await clock.advance(10);
    const outcomes = (await Promise.all(collections)).map((each) => each.outcomes.get('throughput'));
    await clock.advance(intervalSecs * 1_000 - 30);
    return outcomes.map(valueOrReason);
  };
  const now = () => endNs;
  const skip = (secs: number) => (endNs += BigInt(secs) * second);
  const setClockBack = (secs: number) => skip(-secs);
  return {
    clock,
    skip,
    setClockBack,
    store,
    lines,
    metrics,
    coverage,
    evidence,
    histories,
    rates,
    cycle,
    now,
  };
}

function valueOrReason(outcome: MetricOutcome | undefined): number | string | undefined {
  if (outcome?.kind === 'value') return Number(outcome.value);
  return outcome?.kind === 'no-data' ? (outcome.reason ?? 'no-data') : outcome?.kind;
}

describe('an http window', () => {
  test('that log-cache holds in part only is no data, until it holds all of it', async () => {
    const { store, rates, cycle, now } = scene();
    rates.set('shop', 5);
    store.heldSinceNs = now() + 20n * second;
    expect(await cycle()).toEqual(['not-covered']);
    expect(await cycle()).toEqual([5]);
  });

  test('costs a look in the first cycle, and none later', async () => {
    const { store, rates, cycle } = scene();
    rates.set('shop', 5);
    for (let i = 0; i < 20; i++) await cycle();
    expect(store.looks).toHaveLength(1);
  });

  test('costs no look where the gauges that were read anyway prove that it is held', async () => {
    const { store, rates, cycle, now } = scene();
    rates.set('shop', 5);
    for (let secs = 0n; secs < 200n; secs += 15n) {
      store.add(gauge(now() + (secs - 150n) * second, 'cpu', 1, { sourceId: 'shop' }));
    }
    await cycle(['cpu', 'throughput']);
    expect(store.looks).toEqual([]);
  });

  test('is looked at anew after a fall of the rate that nobody saw a reason for', async () => {
    const { store, rates, cycle, now } = scene();
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
    const { store, rates, cycle, now } = scene();
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
    const { store, rates, cycle } = scene();
    rates.set('shop', 50);
    await cycle();
    rates.set('shop', 10);
    for (let i = 0; i < 10; i++) expect(await cycle()).toEqual([10]);
    expect(store.looks).toHaveLength(2);
  });

  test('of a busy app is looked at anew once the rate exceeds all that was held: log-cache may return no more', async () => {
    const { store, rates, cycle, now } = scene();
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
    const { store, rates, cycle } = scene();
    rates.set('shop', 500);
    for (let i = 0; i < 60; i++) await cycle();
    expect(store.looks).toHaveLength(3);
  });

  test('is not taken for whole where the probe for the gauges says otherwise', async () => {
    const { store, rates, cycle, now } = scene();
    rates.set('shop', 5);
    expect(await cycle()).toEqual([5]);
    store.heldSinceNs = now() + 10n * second;
    expect(await cycle(['cpu', 'throughput'])).toEqual(['not-covered']);
    expect(store.looks).toHaveLength(2);
  });

  test('is looked at anew after an outage that others saw', async () => {
    const { store, coverage, rates, cycle, now } = scene();
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
    const { store, coverage, rates, cycle, now, setClockBack } = scene();
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
    const { store, rates, cycle, now } = scene();
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
    const { store, rates, cycle, now } = scene();
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

describe('a zero', () => {
  test('of an app whose node of log-cache died after its gauges were read, and before its query, does not count', async () => {
    const { store, rates, cycle } = scene();
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
    const { store, rates, cycle } = scene();
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
    const { rates, cycle } = scene();
    rates.set('a', 5).set('b', 5).set('c', 5);
    await cycle();
    rates.set('a', 0);
    expect(await cycle()).toEqual([0, 5, 5]);
  });

  test('does not count once no app has requests that had some, until one has them again', async () => {
    const { clock, lines, metrics, evidence, rates, cycle } = scene();
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
    const { rates, cycle, skip } = scene();
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
    const { store, rates, cycle } = scene();
    rates.set('a', 5).set('b', 5).set('c', 5).set('idle', 0);
    await cycle();
    const asked = store.queries.length;
    expect(await cycle(['throughput'], ['idle'])).toEqual([0]);
    expect(store.queries.length - asked).toBe(1);
  });

  test('counts where another app had requests while the others were asked', async () => {
    const { evidence } = scene();
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
    const { rates, cycle } = scene();
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
    const { rates, cycle, setClockBack } = scene();
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
    const { lines, rates, cycle } = scene();
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
    const { evidence, rates, cycle, now } = scene();
    const metricType: HttpMetricType = 'throughput';
    for (const appId of ['a', 'b', 'c']) {
      rates.set(appId, 0);
      const older = { timestampNs: now() - 60n * second, value: 5n };
      evidence.seed(appId, metricType, [{ timestampNs: now(), value }, older]);
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
    const { clock, rates, cycle, skip } = scene();
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
    const { histories, rates, cycle } = scene();
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
    const { evidence, histories, rates, cycle, now } = scene();
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

describe('apps that lose their values', () => {
  function watch() {
    const clock = new ManualClock();
    const { logger, lines } = recordingLogger();
    const metrics = createMetrics();
    let jumps = 0;
    const values = new MissingValuesWatch({
      clock,
      logger,
      metrics,
      intervalMs: 40_000,
      onJump: () => jumps++,
    });
    const value = { kind: 'value', value: 1n, unit: '' } as const;
    /** A cycle of 20 apps, spread over the interval, of which so many have values. */
    const cycle = async (withValues: number) => {
      for (let i = 0; i < 20; i++) {
        values.collected(`app-${i}`, [i < withValues ? value : { kind: 'no-data' }]);
        await clock.advance(2_000);
      }
    };
    return { clock, values, lines, metrics, cycle, jumps: () => jumps };
  }

  test('many at once are one line with their number, and a metric', async () => {
    const { lines, metrics, cycle, jumps } = watch();
    await cycle(20);
    await cycle(10);
    expect(jumps()).toBe(1);
    await cycle(10);
    await cycle(10);
    expect(lines).toMatchObject([
      { level: 'error', event: 'apps-lost-their-values', data: { apps: 20, withoutValues: 10 } },
    ]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 10 }]);
    await cycle(20);
    expect(lines.at(-1)).toMatchObject({ level: 'info', event: 'values-are-back' });
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('count from the first cycle on if their histories have values', async () => {
    const { values, lines, metrics, cycle, jumps } = watch();
    for (let i = 8; i < 14; i++) values.seed(`app-${i}`, [{ value: null }, { value: 5n }, { value: null }]);
    for (let i = 14; i < 20; i++) values.seed(`app-${i}`, [{ value: null }]);
    await cycle(10);
    expect(jumps()).toBe(1);
    await cycle(10);
    await cycle(10);
    expect(lines).toMatchObject([
      { level: 'error', event: 'apps-lost-their-values', data: { apps: 14, withoutValues: 4 } },
    ]);
    // What is known of an app is newer than what its history says.
    values.seed('app-13', [{ value: 5n }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 4 }]);
    await cycle(20);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('at once are told apart from those that lost them before: it ends, and is noticed again', async () => {
    const { lines, metrics, cycle, jumps } = watch();
    const isMissing = async () => (await metrics.valuesMissing.get()).values[0]?.value;
    // A developer stops three apps.
    for (const withValues of [20, 19, 19, 18, 18, 17, 17]) await cycle(withValues);
    for (const times of [1, 2]) {
      await cycle(7);
      await cycle(7);
      expect([jumps(), await isMissing(), lines.at(-1)?.event]).toEqual([times, 1, 'apps-lost-their-values']);
      // One more is stopped meanwhile.
      await cycle(16);
      await cycle(16);
      expect([jumps(), await isMissing(), lines.at(-1)?.event]).toEqual([times, 0, 'values-are-back']);
      await cycle(17);
      await cycle(17);
    }
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 3 }]);
  });

  test('at once again while others are still missing count as well, and it ends with the last', async () => {
    const { lines, cycle, jumps } = watch();
    for (const withValues of [20, 15, 15, 15, 8, 8, 8]) await cycle(withValues);
    expect(jumps()).toBe(2);
    await cycle(15);
    expect(lines.map(({ event }) => event)).toEqual(['apps-lost-their-values']);
    await cycle(20);
    expect(lines.map(({ event }) => event)).toEqual(['apps-lost-their-values', 'values-are-back']);
  });

  test('are forgotten without cycles of others, where this instance has no apps any more', async () => {
    const { clock, values, metrics, cycle } = watch();
    for (const withValues of [20, 10, 10]) await cycle(withValues);
    expect((await metrics.valuesMissing.get()).values).toMatchObject([{ value: 1 }]);
    await clock.advance(3_600_000);
    values.refresh();
    expect((await metrics.valuesMissing.get()).values).toMatchObject([{ value: 0 }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('one by one they are none of our business', async () => {
    const { lines, cycle, jumps } = watch();
    for (let apps = 20; apps > 15; apps--) {
      await cycle(apps);
      await cycle(apps);
    }
    expect([lines, jumps()]).toEqual([[], 0]);
  });

  test('failures say nothing about values, and apps that are gone are forgotten', async () => {
    const { clock, values, lines, metrics, cycle } = watch();
    await cycle(20);
    const failed = { kind: 'failed', failure: 'timeout', message: '' } as const;
    for (let i = 0; i < 20; i++) values.collected(`app-${i}`, [failed]);
    await cycle(19);
    await clock.advance(3_600_000);
    values.collected('app-0', [{ kind: 'value', value: 1n, unit: '' }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
    expect(lines).toEqual([]);
  });
});

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger, type Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { PolicyPoller, type PolicyChanges } from '../../src/policy/policy-poller.js';
import type { PolicySnapshot } from '../../src/policy/policy.js';
import type { StoredPolicies, StoredPolicy } from '../../src/policy/policy-store.js';
import { ManualClock } from '../support/manual-clock.js';

const intervalMs = 40_000;
let clock: ManualClock;
let metrics: ReturnType<typeof createMetrics>;
let log: [event: string, data: unknown][];
let answers: (() => Promise<StoredPolicies>)[];
let reads: { atMs: number; known: StoredPolicies }[];
let poller: PolicyPoller;
/** As last told to a listener. */
let inForce: PolicySnapshot;

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  log = [];
  answers = [];
  reads = [];
  const logger: Logger = {
    debug: () => {},
    info: (event, data) => void log.push([event, data]),
    error: (event, error, data) => void log.push([event, { ...data, message: (error as Error).message }]),
    child: () => logger,
  };
  poller = new PolicyPoller({
    store: {
      read(known) {
        reads.push({ atMs: clock.monotonic(), known });
        return (answers.length > 1 ? answers.shift() : answers[0])?.() ?? Promise.resolve(new Map());
      },
    },
    clock,
    logger,
    metrics,
    intervalMs,
    random: () => 0,
  });
  inForce = new Map();
  poller.onSnapshot((snapshot) => (inForce = snapshot));
});
afterEach(() => poller.stop());

/** The first read, or the next one. */
async function read(): Promise<void> {
  const earlier = reads.length;
  poller.start();
  await clock.advance(earlier === 0 ? 0 : intervalMs);
  expect(reads).toHaveLength(earlier + 1);
}

const usable = (appId: string, version: string): [string, StoredPolicy] => [
  appId,
  { kind: 'usable', version, policy: { appId, version, rules: [] } },
];
const questionable = (appId: string, version: string): [string, StoredPolicy] => {
  const rule = { operator: '>=', adjustment: '+1', breachDurationSecs: 60, coolDownSecs: 60 };
  const rules = ['cpu', 'memory'].map((metricType) => ({ ...rule, metricType, threshold: 80n }));
  return [appId, { kind: 'usable', version, policy: { appId, version, rules } }];
};
const broken = (appId: string, version: string): [string, StoredPolicy] => [
  appId,
  { kind: 'broken', version, problem: 'it is NULL' },
];
const found =
  (...entries: [string, StoredPolicy][]) =>
  () =>
    Promise.resolve(new Map(entries));
const away = () => Promise.reject(new Error('database away'));
const gauge = async (name: string) => {
  const metric = await metrics.registry.getSingleMetric(`autoscaler_eventgenerator_${name}`)?.get();
  return (metric?.values ?? []).map(({ value, labels }) =>
    'result' in labels ? [labels['result'], value] : value,
  );
};
const events = () => log.map(([event]) => event);

describe('reading', () => {
  test('at once, then an interval after each read', async () => {
    poller.start();
    poller.start();
    await clock.advance(2 * intervalMs);
    expect(reads.map((read) => read.atMs)).toEqual([0, 40_000, 80_000]);
  });

  test('tells what was added, changed and removed, and nothing where nothing changed', async () => {
    const seen: [string[], PolicyChanges][] = [];
    poller.onSnapshot((snapshot, changes) => void seen.push([[...snapshot.keys()], changes]));
    answers = [
      found(usable('a', '1'), usable('b', '1')),
      found(usable('b', '1'), usable('a', '1')),
      found(usable('b', '2'), usable('c', '1')),
    ];
    await read();
    const first = inForce;
    await read();
    expect(inForce).toBe(first);
    await read();
    expect(seen).toEqual([
      [['a', 'b'], { added: ['a', 'b'], changed: [], removed: [] }],
      [['b', 'c'], { added: ['c'], changed: ['b'], removed: ['a'] }],
    ]);
    expect([...first.keys()]).toEqual(['a', 'b']);
    expect(reads[2]?.known.get('b')).toMatchObject({ version: '1' });
    expect(await gauge('policies')).toEqual([2]);
  });

  test('never twice at once', async () => {
    let finish: (policies: StoredPolicies) => void = () => {};
    answers = [() => new Promise((resolve) => (finish = resolve))];
    poller.start();
    await clock.advance(3 * intervalMs);
    expect(reads).toHaveLength(1);
    finish(new Map([usable('a', '1')]));
    await clock.advance(0);
    expect([...inForce.keys()]).toEqual(['a']);
    expect(reads).toHaveLength(1);
  });

  test('keeps nothing of policies that were replaced, however often', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const used = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const snapshots: WeakRef<object>[] = [];
    poller.onSnapshot((snapshot) => void snapshots.push(new WeakRef(snapshot)));
    let version = 0;
    answers = [
      () => {
        version++;
        reads = []; // would keep them all
        return found(...Array.from({ length: 1000 }, (_, i) => usable(`app-${i}`, String(version))))();
      },
    ];
    poller.start();
    await clock.advance(20 * intervalMs);
    const before = await used();
    await clock.advance(500 * intervalMs);
    const after = await used();
    expect(snapshots.length).toBeGreaterThan(500);
    // A promise or two of the last read may still be on their way.
    expect(snapshots.filter((snapshot) => snapshot.deref()).length).toBeLessThan(4);
    // 500 times 1,000 policies: some 100 MB if they stayed, 20 MB if only the snapshots did.
    expect(after - before).toBeLessThan(2_000_000);
  });

  test('an empty table is a legal state', async () => {
    answers = [found(usable('a', '1')), found()];
    await read();
    await read();
    expect(inForce.size).toBe(0);
  });

  test('a listener that throws stops neither the others nor the loop', async () => {
    const seen: number[] = [];
    poller.onSnapshot(() => {
      throw new Error('oops');
    });
    poller.onSnapshot((snapshot) => void seen.push(snapshot.size));
    answers = [found(usable('a', '1'))];
    await read();
    answers = [found()];
    await read();
    expect(seen).toEqual([1, 0]);
    expect(events()).toContain('listener-failed');
  });
});

describe('while policy_db is away', () => {
  test('waits longer and longer, keeps the last good policies, and logs twice in all', async () => {
    answers = [found(usable('a', '1')), away];
    poller.start();
    await clock.advance(intervalMs + 200_000);
    const waits = reads.slice(1).map((read, i) => read.atMs - (reads[i]?.atMs ?? 0));
    expect(waits.slice(0, 8)).toEqual([40_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect([...inForce.keys()]).toEqual(['a']);
    const [age] = await gauge('policies_age_seconds');
    expect(age).toBeGreaterThanOrEqual(235);
    expect(await gauge('policies')).toEqual([1]);

    answers = [found(usable('a', '2'))];
    await clock.advance(30_000);
    expect(inForce.get('a')?.version).toBe('2');
    expect(log.filter(([event]) => event !== 'policies-changed')).toEqual([
      ['policies-not-readable', { policiesInForce: 1, message: 'database away' }],
      ['policies-readable-again', { failures: reads.length - 2 }],
    ]);
    expect(await gauge('policy_polls_total')).toEqual([
      ['success', 2],
      ['failure', reads.length - 2],
    ]);
  });

  test('a first read that fails is told and leaves no policy in force', async () => {
    answers = [away];
    await read();
    expect(log).toEqual([['policies-not-readable', { policiesInForce: 0, message: 'database away' }]]);
    expect(inForce.size).toBe(0);
  });

  test('up to half of a wait is left out at random', async () => {
    const eager = new PolicyPoller({
      store: { read: away },
      clock,
      logger: silentLogger,
      metrics,
      intervalMs,
      random: () => 1,
    });
    eager.start();
    await clock.timersPending();
    expect(clock.nextTimerInMs).toBe(500);
    await eager.stop();
  });
});

describe('broken policies', () => {
  test('are reported once per version and counted; their apps are not in force', async () => {
    answers = [
      found(usable('a', '1'), broken('b', '1')),
      found(broken('a', '2'), broken('b', '1')),
      found(broken('a', '2'), broken('b', '2')),
    ];
    const removed: string[] = [];
    poller.onSnapshot((_snapshot, changes) => void removed.push(...changes.removed));
    for (let i = 0; i < 3; i++) await read();
    const message = 'the policy cannot be used: it is NULL';
    expect(log.filter(([event]) => event === 'policy-broken')).toEqual([
      ['policy-broken', { appId: 'b', message }],
      ['policy-broken', { appId: 'a', message }],
      ['policy-broken', { appId: 'b', message }],
    ]);
    expect(removed).toEqual(['a']);
    expect([await gauge('policies'), await gauge('policies_broken')]).toEqual([[0], [2]]);
  });

  test('are told of again each day, in one line with twenty of them', async () => {
    const dayMs = 86_400_000;
    const told = () => log.filter(([event]) => event === 'policies-still-broken').map(([, data]) => data);
    answers = [found(...Array.from({ length: 30 }, (_, i) => broken(`app-${i}`, '1')))];
    await read();
    await clock.advance(dayMs - 2 * intervalMs);
    expect(told()).toEqual([]);
    await clock.advance(2 * intervalMs);
    const appIds = Array.from({ length: 20 }, (_, i) => `app-${i}`);
    expect(told()).toEqual([{ policies: 30, appIds, message: '30 policies cannot be used' }]);
    await clock.advance(dayMs);
    expect(told()).toHaveLength(2);
    answers = [found(usable('app-0', '2'))];
    await clock.advance(dayMs);
    expect(told()).toHaveLength(2);
  });

  test('that can be used again are told of, too', async () => {
    answers = [found(broken('a', '1')), found(usable('a', '2')), found(usable('a', '2'))];
    for (let i = 0; i < 3; i++) await read();
    expect(log.filter(([event]) => event === 'policy-usable-again')).toEqual([
      ['policy-usable-again', { appId: 'a' }],
    ]);
  });

  test('thousands of them do not flood the log', async () => {
    answers = [found(...Array.from({ length: 1000 }, (_, i) => broken(`app-${i}`, '1')))];
    await read();
    expect(events().filter((event) => event === 'policy-broken')).toHaveLength(20);
    expect(log.at(-1)).toEqual(['more-policies-broken', { notNamed: 980 }]);
  });
});

describe('stopping', () => {
  test('ends the wait at once', async () => {
    poller.start();
    await clock.timersPending();
    await poller.stop();
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(10 * intervalMs);
    expect(reads).toHaveLength(1);
  });

  test('does not wait for a read, whose answer then comes to nothing', async () => {
    let finish: (policies: StoredPolicies) => void = () => {};
    answers = [() => new Promise((resolve) => (finish = resolve))];
    poller.start();
    await poller.stop();
    finish(new Map([usable('a', '1')]));
    await clock.advance(intervalMs);
    expect([inForce.size, log]).toEqual([0, []]);
  });
});

describe('rules that name a gauge of containers instead of a metric type', () => {
  const told = () => log.filter(([event]) => event.includes('custom-metrics-only'));

  test('are told once a version, with what they likely mean', async () => {
    const rules = [
      { rule: 'scaling_rules[1]', metricType: 'memory', likelyMeaning: 'memoryused (MB) or memoryutil (%)' },
    ];
    for (const [version, lines] of [
      ['1', 1],
      ['1', 1],
      ['2', 2],
    ] as const) {
      answers = [found(questionable('a', version), usable('b', version))];
      await read();
      expect(told()).toEqual(
        Array.from({ length: lines }, () => ['custom-metrics-only', { appId: 'a', rules }]),
      );
    }
  });

  test('of many apps at once: twenty are named, the others counted', async () => {
    answers = [found(...Array.from({ length: 1_000 }, (_, i) => questionable(`app-${i}`, '1')))];
    await read();
    expect(told()).toHaveLength(21);
    expect(told().at(-1)).toEqual(['more-custom-metrics-only', { notNamed: 980 }]);
  });
});

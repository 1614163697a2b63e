import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger, type Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { PolicyPoller, type PolicyChanges } from '../../src/policy/policy-poller.js';
import type { StoredPolicy } from '../../src/policy/policy-store.js';
import { ManualClock } from '../support/manual-clock.js';
import { PolicyTable } from '../support/policy-table.js';

const intervalMs = 40_000;
let clock: ManualClock;
let metrics: ReturnType<typeof createMetrics>;
let log: [event: string, data: unknown][];
let table: PolicyTable;
/** When the digests were looked at, and which policies were read. */
let polls: number[];
let reads: string[][];
let others: Set<string>;
let poller: PolicyPoller;

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  log = [];
  table = new PolicyTable();
  polls = [];
  reads = [];
  others = new Set();
  table.onPoll = () => void polls.push(clock.monotonic());
  table.onRead = (appIds) => void reads.push([...appIds]);
  const logger: Logger = {
    debug: () => {},
    info: (event, data) => void log.push([event, data]),
    error: (event, error, data) => void log.push([event, { ...data, message: (error as Error).message }]),
    child: () => logger,
  };
  poller = new PolicyPoller({
    store: table,
    isOurs: (appId) => !others.has(appId),
    clock,
    logger,
    metrics,
    intervalMs,
    random: () => 0,
  });
});
afterEach(() => poller.stop());

/** The first poll, or the next one, of a table that has these policies now. */
async function poll(...entries: [string, StoredPolicy][]): Promise<void> {
  table.have(...entries);
  const earlier = polls.length;
  poller.start();
  await clock.advance(earlier === 0 ? 0 : intervalMs);
  expect(polls).toHaveLength(earlier + 1);
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
const away = () => {
  throw new Error('database away');
};
const inForce = () => [...poller.appIds()].filter((appId) => poller.policyOf(appId));
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
    expect(polls).toEqual([0, 40_000, 80_000]);
  });

  test('tells what was added, changed and removed, and reads nothing of what did not change', async () => {
    const seen: PolicyChanges[] = [];
    poller.onChange((changes) => void seen.push(changes));
    await poll(usable('a', '1'), usable('b', '1'));
    const first = poller.policyOf('b');
    await poll(usable('b', '1'), usable('a', '1'));
    expect(poller.policyOf('b')).toBe(first);
    await poll(usable('b', '2'), usable('c', '1'));
    expect(seen).toEqual([
      { cause: 'policies', sinceMs: -Infinity, added: ['a', 'b'], changed: [], removed: [] },
      { cause: 'policies', sinceMs: 2 * intervalMs, added: [], changed: [], removed: ['a'] },
      { cause: 'policies', sinceMs: 2 * intervalMs, added: ['c'], changed: ['b'], removed: [] },
    ]);
    expect(reads.filter((appIds) => appIds.length > 0)).toEqual([
      ['a', 'b'],
      ['b', 'c'],
    ]);
    expect(await gauge('policies')).toEqual([2]);
  });

  test('never twice at once', async () => {
    let finish = () => {};
    table.onRead = () => new Promise((resolve) => (finish = resolve));
    table.have(usable('a', '1'));
    poller.start();
    await clock.advance(3 * intervalMs);
    expect(polls).toHaveLength(1);
    finish();
    await clock.advance(0);
    expect(inForce()).toEqual(['a']);
    expect(polls).toHaveLength(1);
  });

  test('keeps nothing of policies that were replaced, however often', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const used = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const policies: WeakRef<object>[] = [];
    poller.onChange(() => void policies.push(new WeakRef(poller.policyOf('app-7')!)));
    let version = 0;
    table.onPoll = () => {
      version++;
      reads = []; // would keep them all
      table.have(...Array.from({ length: 200 }, (_, i) => usable(`app-${i}`, String(version))));
    };
    poller.start();
    await clock.advance(20 * intervalMs);
    const before = await used();
    await clock.advance(500 * intervalMs);
    const after = await used();
    expect(policies.length).toBeGreaterThan(500);
    // A promise or two of the last read may still be on their way.
    expect(policies.filter((policy) => policy.deref()).length).toBeLessThan(4);
    // 500 times 200 policies: some 20 MB if they stayed.
    expect(after - before).toBeLessThan(2_000_000);
  });

  test('an empty table is a legal state', async () => {
    await poll(usable('a', '1'));
    await poll();
    expect(inForce()).toEqual([]);
    expect(await gauge('policies')).toEqual([0]);
  });

  test('a listener that throws stops neither the others nor the loop', async () => {
    const seen: number[] = [];
    poller.onChange(() => {
      throw new Error('oops');
    });
    poller.onChange(() => void seen.push(inForce().length));
    await poll(usable('a', '1'));
    await poll();
    expect(seen).toEqual([1, 0]);
    expect(events()).toContain('listener-failed');
  });
});

describe('of apps that are another member’s', () => {
  beforeEach(() => void (others = new Set(['theirs', 'taken'])));

  test('nothing is read, and nothing kept; they count among all', async () => {
    await poll(usable('a', '1'), usable('theirs', '1'), broken('taken', '1'));
    await poll(usable('a', '1'), usable('theirs', '2'), broken('taken', '1'));
    expect(reads.flat()).toEqual(['a']);
    expect([...poller.appIds()]).toEqual(['a']);
    expect(log).toEqual([['policies-changed', { policies: 3, added: 1, changed: 0, removed: 0 }]]);
    expect([await gauge('policies'), await gauge('policies_owned'), await gauge('policies_broken')]).toEqual([
      [3],
      [1],
      [0],
    ]);
  });

  test('those gained are read at once, and told when all were', async () => {
    await poll(usable('a', '1'), usable('theirs', '1'), usable('taken', '1'));
    const seen: PolicyChanges[] = [];
    poller.onChange((changes) => void seen.push(changes));
    others = new Set(['theirs']);
    poller.ownershipChanged();
    await clock.advance(0);
    expect(polls).toHaveLength(1);
    expect(seen).toEqual([
      { cause: 'members', sinceMs: -Infinity, added: ['taken'], changed: [], removed: [] },
      { cause: 'members', sinceMs: -Infinity, added: [], changed: [], removed: [], isGained: true },
    ]);
    expect(await gauge('policies_owned')).toEqual([2]);
  });

  test('cycles of those found by the first read are due since they are ours, of later ones since that read', async () => {
    const since: (readonly [string, number])[] = [];
    poller.onChange(
      ({ added, sinceMs }) => void since.push(...added.map((appId) => [appId, sinceMs] as const)),
    );
    await poll(usable('a', '1'), usable('taken', '1'));
    table.have(usable('a', '1'), usable('taken', '1'), usable('new', '1'));
    await clock.advance(intervalMs);
    others.clear();
    poller.ownershipChanged();
    await clock.advance(0);
    expect(since).toEqual([
      ['a', -Infinity],
      ['new', intervalMs],
      ['taken', -Infinity],
    ]);
  });

  test('those gained while policy_db is away are read when it is back', async () => {
    await poll(usable('a', '1'), usable('taken', '1'));
    table.onRead = away;
    others.clear();
    poller.ownershipChanged();
    await clock.advance(5_000);
    expect(inForce()).toEqual(['a']);
    table.onRead = () => {};
    await clock.advance(30_000);
    expect(inForce()).toEqual(['a', 'taken']);
    expect(events().slice(1)).toEqual(['policies-not-readable', 'policies-readable-again']);
  });

  test('those gained during a poll are read right after it', async () => {
    let finish = () => {};
    table.have(usable('a', '1'), usable('taken', '1'));
    table.onRead = () => new Promise((resolve) => (finish = resolve));
    poller.start();
    await clock.advance(0);
    others.clear();
    poller.ownershipChanged();
    table.onRead = () => {};
    finish();
    await clock.advance(0);
    expect(inForce()).toEqual(['a', 'taken']);
  });

  test('those lost are known for an interval more, for the cycles that are under way', async () => {
    await poll(usable('a', '1'), usable('b', '1'));
    others.add('b');
    poller.ownershipChanged();
    await clock.advance(0);
    await clock.advance(intervalMs);
    expect(poller.policyOf('b')).toBeDefined();
    await clock.advance(intervalMs);
    expect([...poller.appIds()]).toEqual(['a']);
  });
});

describe('while policy_db is away', () => {
  test('waits longer and longer, keeps the last good policies, and logs twice in all', async () => {
    await poll(usable('a', '1'));
    table.onPoll = () => {
      polls.push(clock.monotonic());
      away();
    };
    await clock.advance(intervalMs + 200_000);
    const waits = polls.slice(1).map((atMs, i) => atMs - (polls[i] ?? 0));
    expect(waits.slice(0, 8)).toEqual([40_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(inForce()).toEqual(['a']);
    poller.refresh();
    const [age] = await gauge('policies_age_seconds');
    expect(age).toBeGreaterThanOrEqual(235);
    expect(await gauge('policies')).toEqual([1]);

    const failures = polls.length - 1;
    table.onPoll = () => {};
    table.have(usable('a', '2'));
    await clock.advance(30_000);
    expect(poller.policyOf('a')?.version).toBe('2');
    expect(log.filter(([event]) => event !== 'policies-changed')).toEqual([
      ['policies-not-readable', { policiesInForce: 1, message: 'database away' }],
      ['policies-readable-again', { failures }],
    ]);
    expect(await gauge('policy_polls_total')).toEqual([
      ['success', 2],
      ['failure', failures],
    ]);
  });

  test('a first read that fails is told and leaves no policy in force', async () => {
    table.onPoll = away;
    poller.start();
    await clock.advance(0);
    expect(log).toEqual([['policies-not-readable', { policiesInForce: 0, message: 'database away' }]]);
    expect(inForce()).toEqual([]);
  });

  test('up to half of a wait is left out at random', async () => {
    const eager = new PolicyPoller({
      store: Object.assign(new PolicyTable(), { onPoll: away }),
      isOurs: () => true,
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

  test('a poll that fails on the way finds the rest the next time', async () => {
    table.onRead = away;
    table.have(usable('a', '1'));
    poller.start();
    await clock.advance(0);
    expect(inForce()).toEqual([]);
    table.onRead = () => {};
    await clock.advance(1_000);
    expect(inForce()).toEqual(['a']);
  });
});

describe('broken policies', () => {
  test('are reported once per version and counted; their apps are not in force', async () => {
    const removed: string[] = [];
    poller.onChange((changes) => void removed.push(...changes.removed));
    await poll(usable('a', '1'), broken('b', '1'));
    await poll(broken('a', '2'), broken('b', '1'));
    await poll(broken('a', '2'), broken('b', '2'));
    const message = 'the policy cannot be used: it is NULL';
    expect(log.filter(([event]) => event === 'policy-broken')).toEqual([
      ['policy-broken', { appId: 'b', message }],
      ['policy-broken', { appId: 'a', message }],
      ['policy-broken', { appId: 'b', message }],
    ]);
    expect(removed).toEqual(['a']);
    expect(inForce()).toEqual([]);
    expect([await gauge('policies'), await gauge('policies_broken')]).toEqual([[2], [2]]);
  });

  test('are told of again each day, in one line with twenty of them', async () => {
    const dayMs = 86_400_000;
    const told = () => log.filter(([event]) => event === 'policies-still-broken').map(([, data]) => data);
    await poll(...Array.from({ length: 30 }, (_, i) => broken(`app-${i}`, '1')));
    await clock.advance(dayMs - 2 * intervalMs);
    expect(told()).toEqual([]);
    await clock.advance(2 * intervalMs);
    const appIds = Array.from({ length: 20 }, (_, i) => `app-${i}`);
    expect(told()).toEqual([{ policies: 30, appIds, message: '30 policies cannot be used' }]);
    await clock.advance(dayMs);
    expect(told()).toHaveLength(2);
    table.have(usable('app-0', '2'));
    await clock.advance(dayMs);
    expect(told()).toHaveLength(2);
  });

  test('that can be used again are told of, too', async () => {
    await poll(broken('a', '1'));
    await poll(usable('a', '2'));
    await poll(usable('a', '2'));
    expect(log.filter(([event]) => event === 'policy-usable-again')).toEqual([
      ['policy-usable-again', { appId: 'a' }],
    ]);
  });

  test('thousands of them do not flood the log', async () => {
    await poll(...Array.from({ length: 1000 }, (_, i) => broken(`app-${i}`, '1')));
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
    expect(polls).toHaveLength(1);
  });

  test('does not wait for a read, whose answer then comes to nothing', async () => {
    let finish = () => {};
    table.onRead = () => new Promise((resolve) => (finish = resolve));
    table.have(usable('a', '1'));
    poller.start();
    await clock.advance(0);
    await poller.stop();
    finish();
    await clock.advance(intervalMs);
    expect([inForce(), log]).toEqual([[], []]);
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
      await poll(questionable('a', version), usable('b', version));
      expect(told()).toEqual(
        Array.from({ length: lines }, () => ['custom-metrics-only', { appId: 'a', rules }]),
      );
    }
  });

  test('of many apps at once: twenty are named, the others counted', async () => {
    await poll(...Array.from({ length: 1_000 }, (_, i) => questionable(`app-${i}`, '1')));
    expect(told()).toHaveLength(21);
    expect(told().at(-1)).toEqual(['more-custom-metrics-only', { notNamed: 980 }]);
  });
});

import { expect, test } from '@jest/globals';
import type { HistoryKey } from '../../src/history/history-key.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { OwnershipChange } from '../../src/ownership/ownership.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { createOwnedApps } from '../../src/pipeline/owned-apps.js';
import { recordingLogger } from '../support/recording-logger.js';

function rule(changes: Partial<ScalingRule> = {}): ScalingRule {
  return {
    metricType: 'cpu',
    threshold: 80n,
    operator: '>',
    adjustment: '+1',
    breachDurationSecs: 0,
    coolDownSecs: 0,
    ...changes,
  };
}

function policy(appId: string, rules = [rule()], version = '1'): AppPolicy {
  return { appId, version, rules };
}

function snapshot(...policies: AppPolicy[]): Map<string, AppPolicy> {
  return new Map(policies.map((each) => [each.appId, each]));
}

function harness() {
  const owned = new Set(['a', 'b', 'c']);
  let changed: (change: OwnershipChange) => void = () => {};
  const seen = {
    scheduled: new Set<string>() as ReadonlySet<string>,
    schedules: 0,
    change: undefined as OwnershipChange | undefined,
    retained: new Map<string, ReadonlySet<string>>(),
    historiesForgotten: [] as string[],
    wanted: new Map<string, readonly HistoryKey[]>() as ReadonlyMap<string, readonly HistoryKey[]>,
    forgotten: [] as string[],
    policiesChanged: [] as string[],
    saves: 0,
  };
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const workload = createOwnedApps({
    metrics,
    logger,
    settings: { defaultBreachDurationSecs: 120, collectionIntervalMs: 40_000 },
    cacheSizePerApp: 10,
    ownership: {
      owns: (appId) => owned.has(appId),
      isUp: () => true,
      onChange: (listener) => (changed = listener),
    },
    schedule: {
      setApps: (appIds, change) => {
        seen.change = change;
        seen.schedules++;
        seen.scheduled = appIds;
      },
    },
    history: {
      retain: (appId, metricTypes) => void seen.retained.set(appId, metricTypes),
      forget: (appId) => void seen.historiesForgotten.push(appId),
    },
    evaluator: {
      forget: (appId) => void seen.forgotten.push(appId),
      policyChanged: (app) => void seen.policiesChanged.push(app.appId),
    },
    takeover: { begin: (keys) => (seen.wanted = keys) },
    saveSoon: () => void seen.saves++,
  });
  return {
    workload,
    seen,
    lines,
    metrics,
    disown: () => owned.clear(),
    own: (...appIds: string[]) => {
      owned.clear();
      for (const appId of appIds) owned.add(appId);
      changed({ sinceMs: 7, untilMs: 6 });
    },
  };
}

test('only owned apps with rules are worked on, and their histories are warmed up', async () => {
  const { workload, seen, metrics } = harness();
  workload.use(snapshot(policy('a'), policy('b', []), policy('elsewhere')));
  expect([...seen.scheduled]).toEqual(['a']);
  expect([...seen.wanted.keys()]).toEqual(['a']);
  expect(workload.policyOf('a')?.appId).toBe('a');
  expect(workload.policyOf('b')).toBeUndefined();
  expect(workload.policyOf('elsewhere')).toBeUndefined();
  expect((await metrics.appsOwned.get()).values[0]?.value).toBe(1);
});

test('an unchanged policy is neither warmed up again nor reported as changed', () => {
  const { workload, seen } = harness();
  const same = policy('a');
  workload.use(snapshot(same));
  workload.use(snapshot(same, policy('b')));
  expect([...seen.wanted.keys()]).toEqual(['b']);
  expect(seen.policiesChanged).toEqual([]);
});

test('a changed policy is told to the evaluator and warmed up for its new rules', () => {
  const { workload, seen } = harness();
  workload.use(snapshot(policy('a')));
  workload.use(snapshot(policy('a', [rule({ metricType: 'throughput' })], '2')));
  expect(seen.policiesChanged).toEqual(['a']);
  expect(seen.forgotten).toEqual([]);
  expect(seen.wanted.get('a')?.map((key) => key.metricType)).toEqual(['throughput']);
  expect(seen.retained.get('a')).toEqual(new Set(['throughput']));
  expect(seen.schedules).toBe(1);
});

test('only apps that are said to have changed are looked at', () => {
  const { workload, seen } = harness();
  workload.use(snapshot(policy('a'), policy('b')));
  workload.use(snapshot(policy('a', [rule()], '2'), policy('c')), ['b', 'c']);
  expect(seen.policiesChanged).toEqual([]);
  expect(seen.forgotten).toEqual(['b']);
  expect([...seen.scheduled].sort()).toEqual(['a', 'c']);
});

test('what is gone, by policy or by ownership, is saved for its new owner and forgotten everywhere', () => {
  const { workload, seen, own } = harness();
  workload.use(snapshot(policy('a'), policy('b'), policy('c')));
  workload.use(snapshot(policy('a'), policy('b')));
  expect(seen.forgotten).toEqual(['c']);
  expect(seen.saves).toBe(1);
  own('a');
  expect(seen.forgotten).toEqual(['c', 'b']);
  expect(seen.saves).toBe(2);
  expect([...seen.scheduled]).toEqual(['a']);
  expect(seen.historiesForgotten).toEqual(['c', 'b']);
});

test('an app taken over is scheduled and its history wanted as far back as its longest rule looks', () => {
  const { workload, seen, own } = harness();
  own();
  workload.use(
    snapshot(policy('a', [rule(), rule({ breachDurationSecs: 600 }), rule({ metricType: 'disk' })])),
  );
  expect(seen.scheduled.size).toBe(0);
  own('a');
  expect(seen.wanted.get('a')).toEqual([
    { metricType: 'cpu', reachSecs: 1200, capacity: 19 },
    { metricType: 'disk', reachSecs: 240, capacity: 10 },
  ]);
});

test('an app is scheduled from when it became ours, and until it ceased to be, also where that was noticed late', () => {
  const { workload, seen, own } = harness();
  workload.use(snapshot(policy('a'), policy('elsewhere')));
  expect(seen.change).toBeUndefined();
  own('a', 'elsewhere');
  expect(seen.change).toEqual({ sinceMs: 7, untilMs: 6 });
  own('a');
  expect(workload.policyOf('elsewhere')).toBeUndefined();
  expect(workload.policyInForce('elsewhere')?.appId).toBe('elsewhere');
});

test('a process that was frozen works on nothing that it does not own any more, before anyone has told it', () => {
  const { workload, disown } = harness();
  workload.use(snapshot(policy('a')));
  expect(workload.policyOf('a')).toBeDefined();
  disown();
  expect(workload.policyOf('a')).toBeUndefined();
});

test('apps that move between members are counted and said once, apps that come by policy are not', async () => {
  const { workload, lines, metrics, own } = harness();
  workload.use(snapshot(policy('a'), policy('b'), policy('elsewhere')));
  expect(lines).toEqual([]);
  own('a', 'elsewhere');
  expect(lines).toMatchObject([{ event: 'apps-moved', data: { gained: 1, lost: 1, owned: 2 } }]);
  const moved = (await metrics.appsMoved.get()).values.map(({ labels, value }) => [labels.direction, value]);
  expect(moved).toEqual([
    ['gained', 1],
    ['lost', 1],
  ]);
});

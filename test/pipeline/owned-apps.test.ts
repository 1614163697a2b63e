import { expect, test } from '@jest/globals';
import type { HistoryKey } from '../../src/history/history-key.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { OwnershipChange } from '../../src/ownership/ownership.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { OwnedApps, type OwnedAppsOptions } from '../../src/pipeline/owned-apps.js';
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

/** What the parts around were told. */
function nothingSeen() {
  return {
    scheduled: new Set<string>(),
    schedules: 0,
    since: new Map<string, number | undefined>(),
    untilMs: undefined as number | undefined,
    retained: new Map<string, ReadonlySet<string>>(),
    historiesForgotten: [] as string[],
    wanted: new Map<string, readonly HistoryKey[]>() as ReadonlyMap<string, readonly HistoryKey[]>,
    forgotten: [] as string[],
    policiesChanged: [] as string[],
    saves: 0,
  };
}

function partsThatNote(
  seen: ReturnType<typeof nothingSeen>,
): Pick<OwnedAppsOptions, 'schedule' | 'history' | 'evaluator' | 'takeover' | 'saveSoon'> {
  return {
    schedule: {
      add: (appIds, sinceMs) => {
        seen.schedules++;
        for (const appId of appIds) {
          seen.scheduled.add(appId);
          seen.since.set(appId, sinceMs);
        }
      },
      remove: (appIds, untilMs) => {
        seen.untilMs = untilMs;
        seen.schedules++;
        for (const appId of appIds) seen.scheduled.delete(appId);
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
  };
}

function harness() {
  const owned = new Set(['a', 'b', 'c']);
  const ownedSinceMs = new Map<string, number>();
  let policies = new Map<string, AppPolicy>();
  let changed: (change: OwnershipChange) => void = () => {};
  const seen = nothingSeen();
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const workload = new OwnedApps({
    metrics,
    logger,
    settings: { defaultBreachDurationSecs: 120, collectionIntervalMs: 40_000 },
    cacheSizePerApp: 10,
    ownership: {
      owns: (appId) => owned.has(appId),
      ownedSinceMs: (appId) => ownedSinceMs.get(appId) ?? null,
      isUp: () => true,
      onChange: (listener) => (changed = listener),
    },
    policies: {
      policyOf: (appId) => policies.get(appId),
      appIds: () => policies.keys(),
    },
    ...partsThatNote(seen),
  });
  const listed = (...changes: string[]) => ({ added: changes, changed: [], removed: [] });
  return {
    workload,
    seen,
    /** These policies are in force now; `changes`: what of them is said to have changed. */
    use: (now: Map<string, AppPolicy>, changes = [...policies.keys(), ...now.keys()]) => {
      policies = now;
      workload.use({ cause: 'policies', sinceMs: 5, ...listed(...changes) });
    },
    ownedSinceMs,
    /** The policies of these apps, which are ours already, were read only now. */
    gain: (now: Map<string, AppPolicy>) => {
      const gained = [...now.keys()];
      policies = new Map([...policies, ...now]);
      workload.use({ cause: 'members', sinceMs: -Infinity, ...listed(...gained) });
      workload.use({ cause: 'members', sinceMs: -Infinity, ...listed(), isGained: true });
    },
    lines,
    metrics,
    disown: () => owned.clear(),
    own: (...appIds: string[]) => {
      owned.clear();
      for (const appId of appIds) owned.add(appId);
      changed({ untilMs: 6 });
    },
  };
}

test('only owned apps with rules are worked on, and their histories are warmed up', async () => {
  const { workload, seen, metrics, use } = harness();
  use(snapshot(policy('a'), policy('b', []), policy('elsewhere')));
  expect([...seen.scheduled]).toEqual(['a']);
  expect([...seen.wanted.keys()]).toEqual(['a']);
  expect(workload.policyOf('a')?.appId).toBe('a');
  expect(workload.policyOf('b')).toBeUndefined();
  expect(workload.policyOf('elsewhere')).toBeUndefined();
  expect((await metrics.appsOwned.get()).values[0]?.value).toBe(1);
});

test('an unchanged policy is neither warmed up again nor reported as changed', () => {
  const { seen, use } = harness();
  const same = policy('a');
  use(snapshot(same));
  use(snapshot(same, policy('b')));
  expect([...seen.wanted.keys()]).toEqual(['b']);
  expect(seen.policiesChanged).toEqual([]);
});

test('a changed policy is told to the evaluator and warmed up for its new rules', () => {
  const { seen, use } = harness();
  use(snapshot(policy('a')));
  use(snapshot(policy('a', [rule({ metricType: 'throughput' })], '2')));
  expect(seen.policiesChanged).toEqual(['a']);
  expect(seen.forgotten).toEqual([]);
  expect(seen.wanted.get('a')?.map((key) => key.metricType)).toEqual(['throughput']);
  expect(seen.retained.get('a')).toEqual(new Set(['throughput']));
  expect(seen.schedules).toBe(1);
});

test('only apps that are said to have changed are looked at', () => {
  const { seen, use } = harness();
  use(snapshot(policy('a'), policy('b')));
  use(snapshot(policy('a', [rule()], '2'), policy('c')), ['b', 'c']);
  expect(seen.policiesChanged).toEqual([]);
  expect(seen.forgotten).toEqual(['b']);
  expect([...seen.scheduled].sort()).toEqual(['a', 'c']);
});

test('what is gone, by policy or by ownership, is saved for its new owner and forgotten everywhere', () => {
  const { seen, own, use } = harness();
  use(snapshot(policy('a'), policy('b'), policy('c')));
  use(snapshot(policy('a'), policy('b')));
  expect(seen.forgotten).toEqual(['c']);
  expect(seen.saves).toBe(1);
  own('a');
  expect(seen.forgotten).toEqual(['c', 'b']);
  expect(seen.saves).toBe(2);
  expect([...seen.scheduled]).toEqual(['a']);
  expect(seen.historiesForgotten).toEqual(['c', 'b']);
});

test('an app taken over is scheduled and its history wanted as far back as its longest rule looks', () => {
  const { seen, own, use } = harness();
  own();
  use(snapshot(policy('a', [rule(), rule({ breachDurationSecs: 600 }), rule({ metricType: 'disk' })])));
  expect(seen.scheduled.size).toBe(0);
  own('a');
  expect(seen.wanted.get('a')).toEqual([
    { metricType: 'cpu', reachSecs: 1200, capacity: 52 },
    { metricType: 'disk', reachSecs: 240, capacity: 12 },
  ]);
});

test('an app is scheduled from when it became ours, and until it ceased to be, also where that was noticed late', () => {
  const { workload, seen, own, use, gain, ownedSinceMs } = harness();
  use(snapshot(policy('a')));
  ownedSinceMs.set('elsewhere', 7).set('earlier', 3);
  own('a', 'elsewhere', 'earlier');
  gain(snapshot(policy('elsewhere'), policy('earlier')));
  expect([...seen.scheduled].sort()).toEqual(['a', 'earlier', 'elsewhere']);
  // Nobody else can have had the first.
  expect(Object.fromEntries(seen.since)).toEqual({ a: undefined, elsewhere: 7, earlier: 3 });
  own('a');
  expect(seen.untilMs).toBe(6);
  expect(workload.policyOf('elsewhere')).toBeUndefined();
});

test('an app whose policy is new is scheduled from when the policy was found, if it has been ours for longer', () => {
  const { seen, use, ownedSinceMs } = harness();
  ownedSinceMs.set('a', 3).set('b', 7);
  use(snapshot(policy('a'), policy('b')));
  expect(Object.fromEntries(seen.since)).toEqual({ a: 5, b: 7 });
});

test('a process that was frozen works on nothing that it does not own any more, before anyone has told it', () => {
  const { workload, disown, use } = harness();
  use(snapshot(policy('a')));
  expect(workload.policyOf('a')).toBeDefined();
  disown();
  expect(workload.policyOf('a')).toBeUndefined();
});

test('apps that move between members are counted and said once, apps that come by policy are not', async () => {
  const { lines, metrics, own, use, gain } = harness();
  use(snapshot(policy('a'), policy('b')));
  expect(lines).toEqual([]);
  own('a', 'elsewhere');
  gain(snapshot(policy('elsewhere')));
  expect(lines).toMatchObject([{ event: 'apps-moved', data: { gained: 1, lost: 1, owned: 2 } }]);
  const moved = (await metrics.appsMoved.get()).values.map(({ labels, value }) => [labels.direction, value]);
  expect(moved).toEqual([
    ['gained', 1],
    ['lost', 1],
  ]);
});

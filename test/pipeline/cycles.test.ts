import { describe, expect, test } from '@jest/globals';
import type { AppCollection } from '../../src/collection/plan/collect-app.js';
import { noCost } from '../../src/collection/pool/cost.js';
import type { MetricOutcome } from '../../src/collection/pool/job.js';
import type { Decision } from '../../src/evaluation/decision.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import { History } from '../../src/history/history.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';
import { Cycles } from '../../src/pipeline/cycles.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { counted } from '../support/counted.js';

const rule: ScalingRule = {
  metricType: 'cpu',
  threshold: 80n,
  operator: '>',
  adjustment: '+1',
  breachDurationSecs: 120,
  coolDownSecs: 0,
};
const policy: AppPolicy = { appId: 'app', version: '1', rules: [rule] };
const notFired: Decision = { outcome: 'not-fired', verdicts: [{ rule, reason: 'not-breached' }] };
const fired: Decision = {
  outcome: 'fired',
  rule,
  trigger: {
    app_id: 'app',
    metric_type: 'cpu',
    metric_unit: '%',
    breach_duration_secs: 120,
    threshold: 80n,
    operator: '>',
    cool_down_secs: 0,
    adjustment: '+1',
  },
  value: 90n,
};

function value(number: bigint): MetricOutcome {
  return { kind: 'value', value: number, unit: '%' };
}

const failed = (failure: 'timeout' | 'unauthorized'): MetricOutcome => ({
  kind: 'failed',
  failure,
  message: failure,
});

function collectionOf(outcomes: Record<string, MetricOutcome>): AppCollection {
  return { outcomes: new Map(Object.entries(outcomes)), containers: null, cost: noCost() };
}

function harness({ policies = [policy] }: { policies?: AppPolicy[] } = {}) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const history = new History(metrics);
  const { logger, lines } = recordingLogger();
  const state = {
    inForce: new Map(policies.map((each) => [each.appId, each])),
    isOurs: true,
    outcomes: { cpu: value(90n) } as Record<string, MetricOutcome>,
    decision: notFired,
    collect: undefined as undefined | (() => void),
    post: (): Promise<Decision> => Promise.resolve(fired),
    /** What the first rules alone decide. */
    early: null as Decision | null,
    http: null as Promise<AppCollection> | null,
    asked: [] as (readonly string[])[],
    written: [] as AppMetric[],
    evaluatedAt: [] as bigint[],
    firstRules: [] as number[],
    posts: 0,
    soon: [] as number[],
  };
  const cycles = new Cycles({
    clock,
    logger,
    metrics,
    history,
    settings: { defaultBreachDurationSecs: 120, collectionIntervalMs: 40_000 },
    statWindowSecs: 120,
    cacheSizePerApp: 10,
    policyOf: (appId) => (state.isOurs ? state.inForce.get(appId) : undefined),
    policyInForce: (appId) => state.inForce.get(appId),
    collector: {
      collect({ metricTypes }) {
        state.asked.push(metricTypes);
        state.collect?.();
        return { gauges: Promise.resolve(collectionOf(state.outcomes)), http: state.http };
      },
    },
    values: { collected: () => {}, refresh: () => {} },
    recorder: { collected: () => {} },
    writer: { add: (rows) => void state.written.push(...rows) },
    evaluator: {
      evaluate: (_app, atNs) => {
        state.evaluatedAt.push(atNs);
        return state.decision;
      },
      firesAmongFirst: (_app, rules) => {
        state.firstRules.push(rules);
        return state.early;
      },
      act: () => {
        state.posts++;
        return state.post();
      },
    },
    runWithin: (_appId, delayMs) => void state.soon.push(delayMs),
  });
  return { clock, metrics, history, lines, state, cycles };
}

test('app metrics carry the time at which the cycle is evaluated, in the history and in the database', async () => {
  const { clock, history, state, cycles } = harness();
  const startedNs = BigInt(clock.now()) * 1_000_000n;
  expect(await cycles.run('app')).toBe(true);
  expect(state.written).toEqual([
    { appId: 'app', metricType: 'cpu', value: 90n, unit: '%', timestampNs: startedNs },
  ]);
  expect(history.series('app', 'cpu')?.timestampAt(0)).toBe(startedNs);
  expect(state.evaluatedAt).toEqual([startedNs]);
});

test('no data is stored as such', async () => {
  const { state, cycles } = harness();
  state.outcomes = { cpu: { kind: 'no-data' } };
  await cycles.run('app');
  expect(state.written).toMatchObject([{ value: null, unit: '' }]);
});

test('a failed fetch is stored nowhere, counted, and the app is evaluated all the same', async () => {
  const { history, metrics, state, cycles } = harness();
  state.outcomes = { cpu: failed('timeout') };
  expect(await cycles.run('app')).toBe(false);
  expect(state.written).toEqual([]);
  expect(history.series('app', 'cpu')).toBeUndefined();
  expect(state.evaluatedAt).toHaveLength(1);
  expect(await counted(metrics.collections)).toEqual({ timeout: 1 });
});

test('an app that log-cache refuses says nothing about log-cache', async () => {
  const { state, cycles } = harness();
  state.outcomes = { cpu: failed('unauthorized') };
  expect(await cycles.run('app')).toBe(true);
});

test('an app that lost its policy meanwhile is neither stored nor evaluated', async () => {
  const { state, cycles } = harness();
  state.collect = () => state.inForce.clear();
  await cycles.run('app');
  expect(state.written).toEqual([]);
  expect(state.evaluatedAt).toEqual([]);
});

test('what was collected of an app that went to another member meanwhile is stored for it, and decided by it', async () => {
  const { state, cycles } = harness();
  state.collect = () => (state.isOurs = false);
  await cycles.run('app');
  expect(state.written).toHaveLength(1);
  expect(state.evaluatedAt).toEqual([]);
});

test('a last cycle is made for the new owner, any other only of apps that are ours', async () => {
  const { state, cycles } = harness();
  state.isOurs = false;
  await cycles.run('app');
  expect(state.written).toEqual([]);
  await cycles.run('app', true);
  expect(state.written).toHaveLength(1);
  expect(state.evaluatedAt).toEqual([]);
});

test('a policy that changed meanwhile counts with its new rules', async () => {
  const { state, cycles } = harness();
  state.collect = () =>
    state.inForce.set('app', { ...policy, version: '2', rules: [{ ...rule, metricType: 'disk' }] });
  await cycles.run('app');
  expect(state.written).toEqual([]);
  expect(state.evaluatedAt).toHaveLength(1);
});

test('a slow scaling engine holds up no cycle, and stopping can wait for it', async () => {
  const { clock, state, cycles } = harness();
  let answer: (decision: typeof fired) => void = () => {};
  state.decision = fired;
  state.post = () => new Promise((resolve) => (answer = resolve as typeof answer));
  await cycles.run('app');
  let posted = false;
  const waiting = cycles.stop().then(() => (posted = true));
  await clock.advance(0);
  expect(posted).toBe(false);
  answer(fired);
  await waiting;
});

test('the next cycle falls on the moment at which the breach duration ends', async () => {
  const { clock, state, cycles } = harness();
  state.outcomes = { cpu: value(10n) };
  await cycles.run('app');
  state.outcomes = { cpu: value(90n) };
  for (let i = 0; i < 3; i++) {
    await clock.advance(39_000);
    await cycles.run('app');
  }
  // 10 was seen 117 s ago; just after 120 s it lies before the breach duration.
  expect(state.soon.at(-1)).toBe(3001);
});

describe('an app that is held back', () => {
  const heldFor = (clock: ManualClock, ms: number): Decision => ({
    outcome: 'held',
    reason: 'breaker-open',
    rule,
    untilMs: clock.now() + ms,
  });

  test('shortly is judged again at that time, by what was collected', async () => {
    const { clock, state, cycles } = harness();
    state.decision = heldFor(clock, 2_000);
    await cycles.run('app');
    await clock.advance(1_999);
    expect(state.evaluatedAt).toHaveLength(1);
    state.decision = notFired;
    await clock.advance(1);
    expect(state.evaluatedAt).toHaveLength(2);
    expect(state.evaluatedAt[1]).toBe(state.evaluatedAt[0]);
    expect([state.asked.length, state.soon, clock.pendingTimers]).toEqual([1, [], 0]);
  });

  test('for longer has its next cycle at that time, if no regular one is earlier', async () => {
    const { clock, state, cycles } = harness();
    state.decision = heldFor(clock, 20_000);
    await cycles.run('app');
    state.decision = heldFor(clock, 120_000);
    await cycles.run('app');
    state.decision = { outcome: 'held', reason: 'lease-lost', rule };
    await cycles.run('app');
    expect([state.soon, clock.pendingTimers]).toEqual([[20_000], 0]);
  });

  test('again and again is collected only when its app metrics are half an interval old', async () => {
    const { clock, state, cycles } = harness();
    state.decision = {
      ...{ outcome: 'held', reason: 'breaker-open', rule },
      get untilMs() {
        return clock.now() + 2_000;
      },
    };
    await cycles.run('app');
    await clock.advance(40_000);
    expect(state.evaluatedAt).toHaveLength(10);
    expect([state.asked.length, state.soon]).toEqual([1, [2_000]]);
  });

  test('just before its post is looked at again as well', async () => {
    const { clock, state, cycles } = harness();
    state.decision = fired;
    state.post = () => Promise.resolve(heldFor(clock, 2_000));
    await cycles.run('app');
    await clock.advance(0);
    state.decision = notFired;
    await clock.advance(2_000);
    expect(state.evaluatedAt).toHaveLength(2);
  });

  test('is not looked at any more by a process that stops', async () => {
    const { clock, state, cycles } = harness();
    state.decision = heldFor(clock, 2_000);
    await cycles.run('app');
    await cycles.stop();
    await cycles.run('app');
    expect(clock.pendingTimers).toBe(0);
  });
});

test('an app is reconsidered as of its newest app metrics, while they are not older than an interval', async () => {
  const { clock, state, cycles } = harness();
  cycles.reconsider('app');
  expect(state.evaluatedAt).toEqual([]);
  await cycles.run('app');
  await clock.advance(39_000);
  cycles.reconsider('app');
  expect(state.evaluatedAt).toHaveLength(2);
  expect(state.evaluatedAt[1]).toBe(state.evaluatedAt[0]);
  await clock.advance(2_000);
  cycles.reconsider('app');
  cycles.reconsider('unknown');
  expect(state.evaluatedAt).toHaveLength(2);
});

test('nothing that goes wrong with one app ends the process', async () => {
  const { lines, state, cycles } = harness();
  state.collect = () => {
    throw new Error('broken');
  };
  expect(await cycles.run('app')).toBe(true);
  expect(lines).toMatchObject([{ level: 'error', event: 'round-failed', data: { appId: 'app' } }]);
});

test('an app without a policy is not asked for', async () => {
  const { state, cycles } = harness();
  state.collect = () => {
    throw new Error('asked');
  };
  expect(await cycles.run('unknown')).toBe(true);
});

describe('http metrics that come later than the gauges of their cycle', () => {
  const throughput = { ...rule, metricType: 'throughput' };
  const mixed: AppPolicy = { ...policy, rules: [rule, throughput, { ...rule, metricType: 'disk' }] };

  /** A cycle whose gauges are there; `come` brings its http metrics, and resolves when they were dealt with. */
  async function begun(policies = [mixed]) {
    const run = harness({ policies });
    const { clock, state, cycles } = run;
    let resolve: (collection: AppCollection) => void = () => {};
    state.http = new Promise((resolved) => (resolve = resolved));
    await cycles.run('app');
    const come = async (outcomes: Record<string, MetricOutcome> = { throughput: value(7n) }) => {
      resolve(collectionOf(outcomes));
      await clock.advance(0);
    };
    return { ...run, startedNs: BigInt(clock.now()) * 1_000_000n, come };
  }

  test('do not hold up the gauges, and carry the same time', async () => {
    const { clock, history, state, startedNs, come } = await begun();
    expect(state.written.map(({ metricType }) => metricType)).toEqual(['cpu']);
    await clock.advance(9_000);
    await come();
    expect(state.written).toMatchObject([
      { metricType: 'cpu', timestampNs: startedNs },
      { metricType: 'throughput', timestampNs: startedNs, value: 7n },
    ]);
    expect(history.series('app', 'throughput')?.timestampAt(0)).toBe(startedNs);
  });

  test('are waited for by the evaluation, but for the rules before the first that needs them', async () => {
    const { state, startedNs, come } = await begun();
    expect([state.evaluatedAt, state.firstRules]).toEqual([[], [1]]);
    await come();
    expect(state.evaluatedAt).toEqual([startedNs]);
  });

  test('do not change what an earlier rule has decided: the cycle posts once', async () => {
    const run = harness({ policies: [mixed] });
    run.state.early = fired;
    run.state.http = Promise.resolve(collectionOf({ throughput: value(7n) }));
    await run.cycles.run('app');
    await run.cycles.stop();
    expect(run.state.posts).toBe(1);
    expect(run.state.evaluatedAt).toEqual([]);
    expect(run.state.written).toHaveLength(2);
  });

  test('are not asked for once more before they have come, while gauges are', async () => {
    const { clock, metrics, state, cycles, startedNs, come } = await begun();
    await clock.advance(40_000);
    state.http = null;
    await cycles.run('app');
    expect(state.asked.at(-1)).toEqual(['cpu', 'disk']);
    const newerNs = startedNs + 40_000_000_000n;
    expect(state.evaluatedAt).toEqual([newerNs]);
    expect((await metrics.collections.get()).values).toContainEqual({
      value: 1,
      labels: { result: 'not-asked' },
    });
    // As of the newest gauges, which are part of what is known by then.
    await come();
    expect(state.evaluatedAt).toEqual([newerNs, newerNs]);
    expect(state.written.at(-1)).toMatchObject({ metricType: 'throughput', timestampNs: startedNs });
  });

  test('are the end of a cycle before which the app is not reconsidered', async () => {
    const { state, cycles, come } = await begun();
    cycles.reconsider('app');
    expect(state.evaluatedAt).toEqual([]);
    await come();
    cycles.reconsider('app');
    expect(state.evaluatedAt).toHaveLength(2);
  });

  test('are waited for by those who stop', async () => {
    const { clock, cycles, come } = await begun();
    let ended = false;
    const waiting = cycles.stop().then(() => (ended = true));
    await clock.advance(0);
    expect(ended).toBe(false);
    await come();
    await waiting;
  });

  test('never cost newer ones of an app that was away meanwhile', async () => {
    const { clock, history, state, startedNs, come } = await begun();
    await clock.advance(20_000);
    const newer = {
      appId: 'app',
      metricType: 'throughput',
      value: 9n,
      unit: 'rps',
      timestampNs: startedNs + 1n,
    };
    history.seed('app', 'throughput', [newer], 10);
    await come();
    expect(history.series('app', 'throughput')?.timestampAt(0)).toBe(newer.timestampNs);
    expect(state.written.at(-1)).toMatchObject({ metricType: 'throughput', timestampNs: startedNs });
  });

  test('fail alone', async () => {
    const { metrics, state, startedNs, come } = await begun();
    await come({ throughput: failed('timeout') });
    expect(state.written).toHaveLength(1);
    expect(state.evaluatedAt).toEqual([startedNs]);
    expect((await metrics.collections.get()).values).toContainEqual({
      value: 1,
      labels: { result: 'timeout' },
    });
  });
});

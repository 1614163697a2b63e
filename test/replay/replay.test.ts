import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { History } from '../../src/history/history.js';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { grantedClaims } from '../../src/ownership/claims.js';
import { Evaluator } from '../../src/pipeline/evaluator.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { replay, type LoadModel, type Replayed } from '../../src/replay/replay.js';
import type { Recording } from '../../src/replay/recording.js';
import { sharedLoad } from '../../src/replay/load-model.js';
import { Breakers } from '../../src/scaling-engine/breakers.js';
import { engineOutcome, responseTo } from '../../src/scaling-engine/engine-model.js';
import { Gates } from '../../src/scaling-engine/gates.js';
import { msToNs, nsToMs } from '../../src/util/clock.js';
import { inRule, outRule, policyOf } from '../evaluation/examples.js';
import { ManualClock } from '../support/manual-clock.js';
import { atCycle, recorded, settings, startMs, times } from './examples.js';

const limits = { minInstances: 1, maxInstances: 3 };

interface Case {
  readonly rules: readonly ScalingRule[];
  readonly recordings: readonly Recording[];
  readonly instances?: number;
  readonly fromMs?: number;
  readonly cycles?: number;
  readonly load?: LoadModel | null;
}

function played({ rules, recordings, instances = 1, fromMs = startMs, cycles, load = null }: Case): Replayed {
  const longest = Math.max(...recordings.map(({ size }) => size));
  return replay({
    policy: policyOf(rules),
    limits,
    recordings,
    fromNs: msToNs(fromMs),
    untilNs: msToNs(atCycle(cycles ?? longest)),
    instances,
    settings,
    load,
  });
}

/** When, by which rule, from how many instances to how many. */
function scalingsOf({ scalings }: Replayed) {
  return scalings.map(({ atMs, number, from, to }) => [(atMs - startMs) / 20_000, number, from, to]);
}

describe('a replay', () => {
  test('scales at the cycle at which a rule fires, and again after the cool-down, up to the limit', () => {
    const result = played({ rules: [outRule], recordings: [recorded(times(60, 90))] });
    // A breach duration of 5 cycles and a point before it; then a cool-down of 15 cycles.
    expect(scalingsOf(result)).toEqual([
      [6, 1, 1, 2],
      [21, 1, 2, 3],
    ]);
    expect(result).toMatchObject({ cycles: 60, triggers: 7, rejected: 0 });
    expect(result.scalings[0]).toMatchObject({ rule: outRule, value: 90n, unit: '%' });
  });

  test('says how long an app is in breach at a limit, and how many instance hours that takes', () => {
    const values = [...times(50, 90), ...times(50, 50), ...times(50, 10)];
    const result = played({ rules: [outRule, inRule], recordings: [recorded(values)] });
    expect(scalingsOf(result)).toEqual([
      [6, 1, 1, 2],
      [21, 1, 2, 3],
      [105, 2, 3, 2],
      [120, 2, 2, 1],
    ]);
    // In breach at 3 instances from cycle 22 to 49, though 14 of them are in the cool-down, and at 1 from 121 to the end.
    expect(result.atMaxMs).toBe(28 * 20_000);
    expect(result.atMinMs).toBe(29 * 20_000);
    expect(result.instanceMs).toBe((6 + 15 * 2 + 84 * 3 + 15 * 2 + 30) * 20_000);
  });

  test('does not know what was in a gap', () => {
    const values = [...times(40, 90), ...times(100, undefined), 90];
    const result = played({ rules: [outRule], recordings: [recorded(values)], instances: 3, cycles: 141 });
    expect(result.atMaxMs).toBe((33 + 2) * 20_000);
  });

  test('knows the time before it begins, but scales not yet', () => {
    const early = played({ rules: [outRule], recordings: [recorded(times(20, 90))], fromMs: atCycle(10) });
    expect(scalingsOf(early)).toEqual([[10, 1, 1, 2]]);
    expect(early.cycles).toBe(10);
  });

  test('counts triggers that the scaling engine would reject', () => {
    const rules = [{ ...outRule, adjustment: 'more' }];
    expect(played({ rules, recordings: [recorded(times(10, 90))] })).toMatchObject({
      scalings: [],
      triggers: 2,
      rejected: 2,
    });
  });

  test('has nothing to say without recordings', () => {
    expect(played({ rules: [outRule], recordings: [recorded([])], cycles: 180 })).toEqual({
      ...{ cycles: 0, scalings: [], atMaxMs: 0, atMinMs: 0, triggers: 0, rejected: 0 },
      instanceMs: 3_600_000,
    });
  });

  test('closes the loop: what is shared among instances falls when there are more', () => {
    const recordings = [recorded(times(40, 90))];
    const load = sharedLoad([{ atMs: -Infinity, instances: 1 }]);
    expect(scalingsOf(played({ rules: [outRule], recordings, load }))).toEqual([[6, 1, 1, 2]]);
    const memory = [{ ...outRule, metricType: 'memoryutil' }];
    const result = played({
      rules: memory,
      recordings: [recorded(times(40, 90), 'memoryutil')],
      load: sharedLoad([{ atMs: -Infinity, instances: 1 }]),
    });
    expect(scalingsOf(result)).toHaveLength(2);
  });

  test('takes the load from the instances that there really were at that time', () => {
    const load = sharedLoad([
      { atMs: -Infinity, instances: 1 },
      { atMs: atCycle(10), instances: 4 },
    ]);
    const rules = [{ ...outRule, threshold: 100n }];
    const result = played({ rules, recordings: [recorded([...times(10, 90), ...times(20, 30)])], load });
    expect(result.scalings[0]).toMatchObject({ atMs: atCycle(15), value: 120n });
    // 120 for one instance is 60 for two, and 40 for three.
    expect(scalingsOf(result)).toHaveLength(1);
  });
});

/** Values are far from the thresholds, and often stay for longer than a breach duration, so that much happens. */
const arbitraryRule = fc.record({
  metricType: fc.constantFrom('cpu', 'cpu', 'memoryutil'),
  operator: fc.constantFrom('>', '>=', '<', '<=', '='),
  threshold: fc.bigInt(3n, 6n),
  adjustment: fc.constantFrom('+1', '+1', '+2', '-1', '-1', '-50%', 'more'),
  breachDurationSecs: fc.constantFrom(0, 20, 40, 60),
  coolDownSecs: fc.constantFrom(0, 30, 90, 4_000),
});
const arbitraryValues = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 25 }), fc.constantFrom(0, 1, 8, 9, 8, 0, null, undefined)), {
    minLength: 6,
    maxLength: 20,
  })
  .map((runs) => runs.flatMap(([count, value]) => times(count, value)));

/** The scalings that the parts of production make of it, with a clock that is set to the time of each cycle. */
async function produced(rules: readonly ScalingRule[], recordings: readonly Recording[], instances: number) {
  const clock = new ManualClock(startMs);
  const metrics = createMetrics();
  const history = new History(metrics);
  let now = instances;
  let coolDownUntilMs: number | null = null;
  const scalings: unknown[] = [];
  let triggers = 0;
  const evaluator = new Evaluator({
    clock,
    metrics,
    history,
    settings,
    logger: silentLogger,
    claims: grantedClaims,
    recorder: { decided: () => {}, forget: () => {} },
    gates: new Gates({ clock, evaluationIntervalMs: settings.evaluationIntervalMs }),
    // A model rejects what makes no sense each time it is posted.
    breakers: new Breakers({
      clock,
      metrics,
      logger: silentLogger,
      settings: { consecutiveFailureCount: Infinity, backOffInitialIntervalMs: 1, backOffMaxIntervalMs: 1 },
    }),
    evaluationIntervalMs: settings.evaluationIntervalMs,
    mode: 'act',
    scalingEngine: {
      post(trigger) {
        triggers++;
        const rule = { adjustment: trigger.adjustment, coolDownSecs: trigger.cool_down_secs };
        const outcome = engineOutcome({ limits, instances: now, coolDownUntilMs }, rule, clock.now());
        if (outcome.kind === 'scaled') {
          scalings.push([clock.now(), outcome.from, outcome.to]);
          now = outcome.to;
          coolDownUntilMs = outcome.coolDownUntilMs;
        }
        return Promise.resolve(responseTo(outcome));
      },
    },
  });
  const points = recordings.flatMap((recording) =>
    Array.from({ length: recording.size }, (_, index) => ({
      metricType: recording.metricType,
      timestampNs: recording.timestampAt(index),
      value: recording.valueAt(index),
    })),
  );
  const cycles = [...new Set(points.map(({ timestampNs }) => timestampNs))].sort((a, b) => Number(a - b));
  for (const atNs of cycles) {
    await clock.advance(nsToMs(atNs) - clock.now());
    for (const { metricType, value, timestampNs } of points) {
      if (timestampNs === atNs)
        history.record({ appId: 'app', metricType, value, unit: '', timestampNs }, 1_000);
    }
    await evaluator.act(evaluator.evaluate(policyOf(rules), atNs));
  }
  return { scalings, triggers };
}

test('a replay finds the scalings that production makes of the same app metrics, and no other', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(arbitraryRule, { minLength: 2, maxLength: 4 }),
      arbitraryValues,
      arbitraryValues,
      fc.integer({ min: 1, max: 4 }),
      async (rules, cpu, memory, instances) => {
        const recordings = [recorded(cpu), recorded(memory, 'memoryutil')];
        const { scalings, triggers } = played({ rules, recordings, instances, cycles: 500 });
        expect({ scalings: scalings.map(({ atMs, from, to }) => [atMs, from, to]), triggers }).toEqual(
          await produced(rules, recordings, instances),
        );
      },
    ),
    { numRuns: 100 },
  );
});

import { describe, expect, test } from '@jest/globals';
import {
  backtest,
  neededRecordings,
  type Backtest,
  type BacktestOptions,
} from '../../src/replay/backtest.js';
import { inRule, outRule, policyOf } from '../evaluation/examples.js';
import { atCycle, recorded, settings, startMs, times } from './examples.js';

const named = (name: string, rules = [outRule, inRule], limits = { minInstances: 1, maxInstances: 4 }) => ({
  name,
  hasSchedules: false,
  policy: policyOf(rules),
  limits,
});

function tried(
  values: readonly (number | null | undefined)[],
  more: Partial<BacktestOptions> = {},
): Backtest {
  return backtest({
    appId: 'app',
    span: { fromMs: startMs, toMs: atCycle(values.length) },
    tried: named('p.json'),
    against: null,
    recordings: [recorded(values)],
    settings,
    counts: null,
    instances: null,
    ...more,
  });
}

test('a scaling back within 15 minutes is a reversal', () => {
  const quick = { ...inRule, coolDownSecs: 60 };
  const values = [...times(10, 90), ...times(30, 10), ...times(60, 50), ...times(10, 90), ...times(10, 50)];
  const { trial } = tried(values, { tried: named('p.json', [outRule, quick]) });
  expect(trial.scalings.map(({ from, to }) => [from, to])).toEqual([
    [1, 2],
    [2, 1],
    [1, 2],
  ]);
  expect(trial.reversals).toBe(1);
});

test('the open loop begins with the minimum, or with what is said', () => {
  expect(tried(times(3, 50), { tried: named('p', [], { minInstances: 2, maxInstances: 4 }) })).toMatchObject({
    closedFor: null,
    trial: { instancesAtStart: 2 },
  });
  expect(tried(times(3, 50), { instances: 3 }).trial.instancesAtStart).toBe(3);
});

test('the closed loop begins with the real number, and says which metric types it is closed for', () => {
  const result = tried(times(40, 90), {
    counts: [
      { atMs: -Infinity, instances: 1 },
      { atMs: startMs - 1, instances: 2 },
    ],
    recordings: [recorded(times(40, 90)), recorded(times(40, 90), 'memoryutil'), recorded([], 'throughput')],
  });
  expect(result.closedFor).toEqual(['cpu']);
  // 180 % of cpu for two instances are 60 % for three.
  expect(result.trial.scalings.map(({ from, to }) => [from, to])).toEqual([[2, 3]]);
});

const cycleOf = ({ atMs }: { readonly atMs: number }) => (atMs - startMs) / settings.collectionIntervalMs;

describe('against another policy', () => {
  const late = { ...outRule, breachDurationSecs: 400 };

  test('scalings of the same direction within an interval are the same', () => {
    const values = [...times(60, 90), ...times(60, 50)];
    const { difference } = tried(values, { against: named('current') });
    expect(difference).toEqual({ common: 3, onlyFirst: [], onlySecond: [] });
  });

  test('the others belong to one of them alone', () => {
    const values = [...times(40, 90), ...times(60, 50)];
    const early = named('early');
    const patient = named('patient', [late]);
    const cyclesOf = ({ difference }: Backtest) => ({
      ...difference,
      onlyFirst: difference?.onlyFirst.map(cycleOf),
      onlySecond: difference?.onlySecond.map(cycleOf),
    });
    const result = tried(values, { tried: early, against: patient });
    expect(result.against?.tried.name).toBe('patient');
    expect(cyclesOf(result)).toEqual({ common: 2, onlyFirst: [6], onlySecond: [] });
    const swapped = tried(values, { tried: patient, against: early });
    expect(cyclesOf(swapped)).toEqual({ common: 2, onlyFirst: [], onlySecond: [6] });
  });
});

test('tells what was recorded: cycles, gaps, values', () => {
  const values = [...times(5, 50), ...times(4, undefined), null, ...times(5, 50)];
  const { coverage } = tried(values);
  expect(coverage).toEqual({
    cycles: 11,
    medianDistanceMs: 20_000,
    gaps: [{ fromMs: atCycle(4), toMs: atCycle(9) }],
    metrics: [{ metricType: 'cpu', points: 11, noData: 1 }],
  });
});

test('nothing recorded is one gap, and leaves rules without values', () => {
  const { coverage, trial } = tried(times(9, undefined));
  expect(coverage).toMatchObject({ cycles: 0, medianDistanceMs: null, gaps: [{ fromMs: startMs }] });
  expect(trial.withoutValues).toEqual(['cpu']);
  expect(tried(times(9, null)).trial.withoutValues).toEqual(['cpu']);
});

test('what must be read is what the rules of all policies look at', () => {
  const memory = { ...outRule, metricType: 'memoryutil', breachDurationSecs: 600 };
  expect(neededRecordings([named('a'), named('b', [memory])], settings)).toEqual({
    metricTypes: ['cpu', 'memoryutil'],
    reachMs: 1_200_000,
  });
  expect(neededRecordings([], settings)).toEqual({ metricTypes: [], reachMs: 0 });
});

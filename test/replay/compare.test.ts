import { describe, expect, test } from '@jest/globals';
import { compare, type Comparison, type CompareOptions } from '../../src/replay/compare.js';
import { Recording } from '../../src/replay/recording.js';
import { msToNs } from '../../src/util/clock.js';
import { inRule, outRule, policyOf } from '../evaluation/examples.js';
import { atCycle, recorded, settings, startMs, times } from './examples.js';

const laterNs = 7_000_000_000n;

type Values = readonly (number | null | undefined)[];

/** Of one metric type; the observers collect 7 s later. */
function compared(
  theirs: Values,
  ours: Values,
  more: Partial<CompareOptions> & {
    readonly metricType?: string;
    readonly web?: number;
    readonly others?: number;
  } = {},
): Comparison {
  const { metricType = 'cpu', web = 2, others = 0, ...options } = more;
  const rules = [outRule, inRule].map((rule) => ({ ...rule, metricType }));
  return compare({
    policy: policyOf(rules),
    limits: { minInstances: 1, maxInstances: 9 },
    span: { fromMs: startMs, toMs: atCycle(Math.max(theirs.length, ours.length)) },
    theirs: [recorded(theirs, metricType)],
    ours: [
      recorded(ours, metricType, laterNs),
      recorded([web], 'containers:web'),
      recorded([others], 'containers:others'),
    ],
    settings,
    ...options,
  });
}

describe('alike', () => {
  test('are the same values, and one that follows the other', () => {
    const rising = Array.from({ length: 60 }, (_, i) => 10 + i);
    const result = compared(rising, rising);
    expect(result).toMatchObject({
      appId: 'app',
      cause: null,
      metrics: [
        {
          metricType: 'cpu',
          theirs: 59,
          ours: 60,
          median: 0,
          largest: 0,
          shareAboveTenth: 0,
          cause: null,
          first: null,
        },
      ],
    });
  });

  test('are values that rounding makes differ by one', () => {
    expect(compared(times(60, 2), times(60, 1)).cause).toBeNull();
  });

  test('is a spike that one sees a little earlier', () => {
    const spike = (before: number) => [...times(before, 40), ...times(10, 60), ...times(90 - before, 40)];
    expect(compared(spike(20), spike(22)).cause).toBeNull();
  });

  test('are apps of which nobody has stored anything', () => {
    expect(compared([], [], { span: { fromMs: startMs, toMs: atCycle(9) } })).toMatchObject({
      cause: null,
      metrics: [{ theirs: 0, ours: 0, median: null, largest: null }],
    });
  });
});

describe('the cause of a difference', () => {
  const busy = times(60, 90);
  const half = times(60, 45);

  test('is a read that does not hold all instances, where there are more than 6', () => {
    const result = compared(half, busy, { web: 7 });
    expect(result).toMatchObject({
      cause: 'more-than-6-instances',
      metrics: [
        {
          ...{ median: 0.5, largest: 0.5, shareAboveTenth: 1, cause: 'more-than-6-instances' },
          first: { theirs: 45n, ours: 90n },
        },
      ],
    });
    expect(result.theirScalings).toEqual([]);
    expect(result.ourScalings.map(({ from, to }) => [from, to])).toEqual([
      [7, 8],
      [8, 9],
    ]);
    expect(result.difference).toMatchObject({ common: 0, onlyFirst: [], onlySecond: [{ to: 8 }, { to: 9 }] });
  });

  test('is another process type, where there is one', () => {
    expect(compared(half, busy, { others: 1 }).cause).toBe('worker-process');
    expect(compared(half, busy).cause).toBe('unknown');
    expect(compared(half, busy, { metricType: 'throughput', others: 1, web: 9 }).cause).toBe('unknown');
  });

  test('is what was so at the time of the first difference', () => {
    const result = compared([...times(30, 90), ...times(30, 45)], busy, {
      ours: [
        recorded(busy, 'cpu', laterNs),
        recorded([2, ...times(19, undefined), 8], 'containers:web'),
        recorded([1, ...times(19, undefined), 0], 'containers:others'),
      ],
    });
    expect(result.cause).toBe('more-than-6-instances');
  });

  test('is a gap of one of them', () => {
    const gap = [...times(20, 50), ...times(10, undefined), ...times(30, 50)];
    const whole = times(60, 50);
    expect(compared(gap, whole)).toMatchObject({
      cause: 'gap',
      metrics: [{ gap: { fromMs: atCycle(19), toMs: atCycle(30) } }],
    });
    expect(compared(whole, gap).cause).toBe('gap');
    expect(compared(gap, gap).cause).toBeNull();
    expect(compared([], whole, { span: { fromMs: startMs, toMs: atCycle(60) } }).cause).toBe('gap');
  });

  test('is not that one of them began later', () => {
    expect(compared(times(60, 50), [...times(30, undefined), ...times(30, 50)]).cause).toBeNull();
  });

  test('is no data against 0', () => {
    expect(compared(times(60, 0), times(60, null)).cause).toBe('no-data-against-0');
    expect(compared(times(60, null), times(60, 0)).cause).toBe('no-data-against-0');
    expect(compared(times(60, 50), times(60, null)).cause).toBe('unknown');
    expect(compared(times(60, null), times(60, null)).cause).toBeNull();
  });

  test('is a percentage that was rounded up once too often', () => {
    const one = { metricType: 'memoryutil' };
    expect(compared(times(60, 8), times(60, 7), one)).toMatchObject({
      cause: 'percentage-rounding',
      metrics: [{ first: { theirs: 8n, ours: 7n } }],
    });
    expect(compared(times(60, 7), times(60, 8), one).cause).toBeNull();
    expect(compared(times(60, 8), times(60, 7), { metricType: 'memoryused' }).cause).toBeNull();
  });

  test('is a threshold between values that are alike', () => {
    const result = compared(times(60, 82), times(60, 80));
    expect(result).toMatchObject({ cause: 'close-to-threshold', metrics: [{ cause: null }] });
    expect(result.theirScalings).toHaveLength(4);
  });

  test('is that values were collected at other times, where they are the same', () => {
    const every = (secs: number) => {
      const cells = Array.from({ length: 1_200 / secs }, (_, i) => [msToNs(startMs + i * secs * 1_000), 90n]);
      return [new Recording('cpu', '%', BigInt64Array.from(cells.flat()))];
    };
    const policy = policyOf([{ ...outRule, coolDownSecs: 50 }]);
    // A cool-down ends with a cycle of every 25 s, but between two cycles of every 20 s.
    for (const [theirs, ours] of [
      [every(20), every(25)],
      [every(25), every(20)],
    ] as const) {
      const result = compared([], [], { policy, theirs, ours, span: { fromMs: startMs, toMs: atCycle(60) } });
      expect(result).toMatchObject({ cause: 'other-cycle-times', metrics: [{ largest: 0, cause: null }] });
    }
  });
});

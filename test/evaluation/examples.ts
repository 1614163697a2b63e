import { msToNs } from '../../src/util/clock.js';
import type { Trigger } from '../../src/evaluation/trigger.js';
import { History } from '../../src/history/history.js';
import { PointMemory } from '../../src/history/point-memory.js';
import { Ring, type Series } from '../../src/history/ring.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { AppPolicy, ScalingRule } from '../../src/policy/policy.js';

/** The configuration that the tables of the tests assume: 3 of 5 expected app metrics are needed per breach duration. */
export const settings = { defaultBreachDurationSecs: 100, collectionIntervalMs: 20_000 };

export const outRule: ScalingRule = {
  metricType: 'cpu',
  threshold: 80n,
  operator: '>',
  adjustment: '+1',
  breachDurationSecs: 100,
  coolDownSecs: 300,
};

export const inRule: ScalingRule = { ...outRule, threshold: 20n, operator: '<', adjustment: '-1' };

/** As it is posted for `outRule` with the usual durations. */
export function triggerFor(appId: string): Trigger {
  return {
    app_id: appId,
    metric_type: 'cpu',
    metric_unit: '%',
    breach_duration_secs: 120,
    threshold: 80n,
    operator: '>',
    cool_down_secs: 300,
    adjustment: '+1',
  };
}

export function policyOf(rules: readonly ScalingRule[], version = '1', appId = 'app'): AppPolicy {
  return { appId, version, rules };
}

/** Points by their age in seconds at `atNs`; null is *no data*. */
export type Ages = Readonly<Record<number, bigint | null>>;

/** The end of the stat window of the newest app metric in the tables. */
export const atNs = msToNs(1_700_000_000_000);

export function seriesOf(ages: Ages): Series {
  const ring = new Ring('cpu', 1000, new PointMemory());
  for (const [secs, value] of oldestFirst(ages)) ring.append(atNs - msToNs(secs * 1000), value, '%');
  return ring;
}

/** Values at ages 0, 20, …, 200 s: enough for every rule here to fire if they breach. */
export function steady(value: bigint | null): Ages {
  return Object.fromEntries(Array.from({ length: 11 }, (_, i) => [i * 20, value]));
}

export function historyOf(metricTypes: Readonly<Record<string, Ages>>, appId = 'app'): History {
  const history = new History(createMetrics());
  for (const [metricType, ages] of Object.entries(metricTypes)) {
    for (const [secs, value] of oldestFirst(ages)) {
      const timestampNs = atNs - msToNs(secs * 1000);
      history.record({ appId, metricType, value, unit: value === null ? '' : '%', timestampNs }, 1000);
    }
  }
  return history;
}

function oldestFirst(ages: Ages): [number, bigint | null][] {
  return Object.entries(ages)
    .map(([secs, value]): [number, bigint | null] => [Number(secs), value])
    .sort((a, b) => b[0] - a[0]);
}

import type { Backtest, Trial } from '../replay/backtest.js';
import { isOut } from '../replay/difference.js';
import type { Scaling } from '../replay/replay.js';
import { isoTime } from '../util/iso-time.js';

/** A back-test for machines. Times are UTC, durations seconds, and values texts, as they may be beyond 2^53. */
export function backtestJson(result: Backtest): object {
  const { appId, span, settings, coverage, trial, against, closedFor, difference } = result;
  return {
    app_id: appId,
    from: isoTime(span.fromMs),
    to: isoTime(span.toMs),
    collection_interval_secs: settings.collectionIntervalMs / 1_000,
    loop: closedFor === null ? 'open' : 'closed',
    load_model_applies_to: closedFor ?? [],
    cycles: coverage.cycles,
    median_distance_secs: coverage.medianDistanceMs === null ? null : coverage.medianDistanceMs / 1_000,
    gaps: coverage.gaps.map(({ fromMs, toMs }) => ({ from: isoTime(fromMs), to: isoTime(toMs) })),
    metrics: coverage.metrics.map(({ metricType, points, noData }) => ({
      metric_type: metricType,
      app_metrics: points,
      no_data: noData,
    })),
    policy: trialJson(trial),
    against: against && trialJson(against),
    difference: difference && {
      common: difference.common,
      only_policy: difference.onlyFirst.map(scalingJson),
      only_against: difference.onlySecond.map(scalingJson),
    },
  };
}

function trialJson(trial: Trial): object {
  const { tried, scalings, withoutValues } = trial;
  return {
    name: tried.name,
    instance_min_count: tried.limits.minInstances,
    instance_max_count: tried.limits.maxInstances,
    has_schedules: tried.hasSchedules,
    instances_at_start: trial.instancesAtStart,
    scaled_out: scalings.filter(isOut).length,
    scaled_in: scalings.filter((scaling) => !isOut(scaling)).length,
    reversed_within_15_min: trial.reversals,
    instance_hours: Math.round(trial.instanceMs / 36_000) / 100,
    in_breach_at_max_secs: trial.atMaxMs / 1_000,
    in_breach_at_min_secs: trial.atMinMs / 1_000,
    triggers: trial.triggers,
    rejected_triggers: trial.rejected,
    metric_types_without_values: withoutValues,
    scalings: scalings.map(scalingJson),
  };
}

export function scalingJson({ atMs, number, rule, unit, value, from, to }: Scaling): object {
  return {
    at: isoTime(atMs),
    from,
    to,
    rule: number,
    metric_type: rule.metricType,
    operator: rule.operator,
    threshold: String(rule.threshold),
    adjustment: rule.adjustment,
    value: value === null ? null : String(value),
    unit,
  };
}

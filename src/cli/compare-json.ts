import type { Comparison, MetricComparison } from '../replay/compare.js';
import type { Scaling } from '../replay/replay.js';
import { scalingJson } from './backtest-json.js';
import type { Tally } from './compare-tally.js';
import { isoTime } from '../util/iso-time.js';

/** One app. Differences are relative, shares between 0 and 1, values texts. */
export function comparisonJson(result: Comparison): object {
  const { appId, span, metrics, theirScalings, ourScalings, difference, cause } = result;
  const scalings = (list: readonly Scaling[]) => list.map(scalingJson);
  return {
    app_id: appId,
    from: isoTime(span.fromMs),
    to: isoTime(span.toMs),
    alike: cause === null,
    cause,
    metrics: metrics.map(metricJson),
    scalings: { acting: scalings(theirScalings), observed: scalings(ourScalings) },
    difference: {
      common: difference.common,
      only_acting: scalings(difference.onlyFirst),
      only_observed: scalings(difference.onlySecond),
    },
  };
}

function metricJson(metric: MetricComparison): object {
  const { metricType, theirs, ours, median, largest, shareAboveTenth, shareWithoutData, first, gap, cause } =
    metric;
  return {
    metric_type: metricType,
    points: { acting: theirs, observed: ours },
    median_difference: median,
    largest_difference: largest,
    share_above_10_percent: shareAboveTenth,
    share_without_data: shareWithoutData,
    first_difference: first && {
      at: isoTime(first.atMs),
      acting: first.theirs === null ? null : String(first.theirs),
      observed: first.ours === null ? null : String(first.ours),
    },
    gap: gap && { from: isoTime(gap.fromMs), to: isoTime(gap.toMs) },
    cause,
  };
}

/** All apps together. */
export function tallyJson({ apps, alike, causes }: Tally): object {
  return { summary: { apps, alike, different: apps - alike, causes: Object.fromEntries(causes) } };
}

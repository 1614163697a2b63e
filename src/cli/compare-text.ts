import { timeText } from '../explanation/sentence.js';
import type { Cause, Comparison, MetricComparison } from '../replay/compare.js';
import type { Scaling } from '../replay/replay.js';
import type { Tally } from './compare-tally.js';
import { printable } from './table.js';

/** Of one list; --json has all. */
const maxScalings = 5;

const causeTexts: Readonly<Record<Cause, string>> = {
  gap: 'one of them has a gap',
  'no-data-against-0': 'no data against 0',
  'more-than-6-instances': 'more than 6 instances: a read of the oldest 100 envelopes does not hold all',
  'worker-process': 'tasks, staging or other process types were counted',
  'percentage-rounding': 'a percentage was rounded up once too often',
  'close-to-threshold': 'the values are alike, but a threshold lies between them',
  'other-cycle-times': 'the values are alike, but were collected at other times',
  unknown: 'the cause is not known',
};

/** One app: a line for each metric type, and what was or would have been scaled. Times are UTC. */
export function comparisonText(result: Comparison): string {
  const { appId, metrics, theirScalings, ourScalings, difference, cause } = result;
  const lines = [
    `${printable(appId)}  ${cause === null ? 'alike' : causeTexts[cause]}`,
    ...metrics.map((metric) => `  ${metricText(metric)}`),
    `  scalings: ${theirScalings.length} of the acting fleet, ${ourScalings.length} of observers, ${difference.common} in common`,
    ...scalingTexts('only of the acting fleet', difference.onlyFirst),
    ...scalingTexts('only of observers', difference.onlySecond),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function metricText(metric: MetricComparison): string {
  const { metricType, theirs, ours, median, largest, shareAboveTenth, cause } = metric;
  const parts = [
    `${printable(metricType)}: ${theirs} against ${ours} app metrics`,
    ...(median === null || largest === null
      ? []
      : [
          `median ${percent(median)}, largest ${percent(largest)}, ${percent(shareAboveTenth)} of them above 10 %`,
        ]),
    ...(cause === null ? [] : [firstText(metric)]),
  ];
  return parts.join('; ');
}

function firstText({ first, gap, cause }: MetricComparison): string {
  const value = (found: bigint | null) => (found === null ? 'no data' : String(found));
  const what = gap
    ? `first from ${timeText(gap.fromMs, 0)} to ${timeText(gap.toMs, gap.fromMs)}`
    : first
      ? `first at ${timeText(first.atMs, 0)}: ${value(first.theirs)} against ${value(first.ours)}`
      : 'first unknown';
  return cause === null ? what : `${what} (${causeTexts[cause]})`;
}

function scalingTexts(title: string, scalings: readonly Scaling[]): string[] {
  if (scalings.length === 0) return [];
  const shown = scalings
    .slice(0, maxScalings)
    .map(({ atMs, from, to, number }) => `${timeText(atMs, 0)} ${from} → ${to} (rule ${number})`);
  const more = scalings.length - shown.length;
  return [`  ${title}: ${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`];
}

/** All apps together. */
export function tallyText({ apps, alike, causes }: Tally): string {
  const found = [...causes].sort(([, a], [, b]) => b - a).map(([cause, count]) => `${count} ${cause}`);
  const differ = found.length === 0 ? '' : `: ${found.join(', ')}`;
  return `${apps} app${apps === 1 ? '' : 's'}, ${alike} alike; ${apps - alike} differ${differ}\n`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

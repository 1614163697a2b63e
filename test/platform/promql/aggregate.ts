import type { Tags } from '../envelope.js';
import { printFloat } from './answer.js';
import type { Aggregation, Grouping } from './expression.js';
import { greater, lesser } from './functions.js';
import { keyOf, PromqlEngineError } from './series.js';

export interface Sample {
  readonly labels: Tags;
  readonly value: number;
}

/** One series' value, or what many series that differ only in request_id come to. */
export interface Summary {
  readonly labels: Tags;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

interface Group {
  readonly labels: Tags;
  readonly summaries: Summary[];
}

const maxInt64 = 2 ** 63;

/** `parameter`: of `topk` and `quantile`, to which every summary is one sample. Throws PromqlEngineError. */
export function aggregate(
  operation: Aggregation,
  parameter: number,
  grouping: Grouping,
  summaries: readonly Summary[],
): Sample[] {
  const groups = groupsOf(summaries, grouping);
  if (operation === 'topk') {
    const count = wholeCount(parameter);
    return groups.flatMap((group) =>
      samplesOf(group)
        .sort((a, b) => byValue(b, a))
        .slice(0, count),
    );
  }
  return groups.map((group) => ({ labels: group.labels, value: valueOf(operation, parameter, group) }));
}

export function summaryOf(labels: Tags, value: number): Summary {
  return { labels, count: 1, sum: value, min: value, max: value };
}

function groupsOf(summaries: readonly Summary[], grouping: Grouping): Group[] {
  const groups = new Map<string, Group>();
  for (const summary of summaries) {
    const labels = groupLabels(summary.labels, grouping);
    const key = keyOf(labels);
    const group = groups.get(key);
    if (group) group.summaries.push(summary);
    else groups.set(key, { labels, summaries: [summary] });
  }
  return [...groups.values()];
}

function groupLabels(labels: Tags, grouping: Grouping): Tags {
  const kept = Object.entries(labels).filter(
    ([label, value]) => grouping.labels.includes(label) === (grouping.kind === 'by') && value !== '',
  );
  return Object.fromEntries(kept);
}

function valueOf(operation: Exclude<Aggregation, 'topk'>, parameter: number, group: Group): number {
  const { summaries } = group;
  const total = (of: 'count' | 'sum') => summaries.reduce((sum, summary) => sum + summary[of], 0);
  switch (operation) {
    case 'avg':
      return meanOf(summaries);
    case 'count':
    case 'sum':
      return total(operation);
    case 'max':
      return summaries.reduce((max, summary) => greater(max, summary.max), NaN);
    case 'min':
      return summaries.reduce((min, summary) => lesser(min, summary.min), NaN);
    case 'quantile':
      return quantile(parameter, samplesOf(group));
  }
}

/** Step by step, as Prometheus does it: a number after an infinite one makes it NaN. */
function meanOf(summaries: readonly Summary[]): number {
  let [mean, total] = [0, 0];
  for (const { count, sum } of summaries) {
    total += count;
    mean += (sum - count * mean) / total;
  }
  return mean;
}

function samplesOf({ summaries }: Group): Sample[] {
  return summaries.map(({ labels, sum }) => ({ labels, value: sum }));
}

/** NaN is less than every number. */
function byValue(a: Sample, b: Sample): number {
  return Number(Number.isNaN(b.value)) - Number(Number.isNaN(a.value)) || a.value - b.value;
}

function quantile(q: number, samples: Sample[]): number {
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const values = samples.sort(byValue).map(({ value }) => value);
  const rank = q * (values.length - 1);
  const below = values[Math.floor(rank)];
  const above = values[Math.min(values.length - 1, Math.floor(rank) + 1)];
  if (below === undefined || above === undefined) {
    throw new PromqlEngineError(`unexpected error: runtime error: index out of range [-9223372036854775808]`);
  }
  const weight = rank - Math.floor(rank);
  return below * (1 - weight) + above * weight;
}

function wholeCount(value: number): number {
  if (Math.abs(value) < maxInt64) return Math.max(0, Math.trunc(value));
  const printed = Number.isFinite(value) ? String(value) : printFloat(value);
  throw new PromqlEngineError(`Scalar value ${printed} overflows int64`);
}

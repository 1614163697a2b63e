import { containerCounts } from '../history/container-counts.js';
import { isHttpMetricType } from '../collection/pool/job.js';
import { breachTerms, judge } from '../evaluation/breach-rule.js';
import { metricTypesOf } from '../policy/policy.js';
import type { Scaling } from './replay.js';
import { replay, type ReplayedPolicy, type ReplaySettings } from './replay.js';
import { compareValues, type ValueComparison } from './compare-values.js';
import { gapsOf, type Span } from './coverage.js';
import { differenceOf, type Difference } from './difference.js';
import { Recording } from './recording.js';
import { Tape } from './tape.js';
import { msToNs } from '../util/clock.js';

/**
 * Why the values of the acting fleet and the observers' are not the same, most probably.
 * - `gap`: one of them has stored nothing
 * - `no-data-against-0`: where one has *no data* the other has 0
 * - `more-than-6-instances`: a read of the oldest 100 envelopes, as the Go eventgenerator's, does not hold more
 * - `worker-process`: tasks, staging or other process types were counted as instances
 * - `percentage-rounding`: a percentage that is multiplied after it was divided is a little more, and is rounded up
 * - `close-to-threshold`: the values are alike, but on both sides of a threshold
 * - `other-cycle-times`: the values are alike and on one side of each threshold, but they were collected at other times
 * - `unknown`: none of these
 */
export const causes = [
  'gap',
  'no-data-against-0',
  'more-than-6-instances',
  'worker-process',
  'percentage-rounding',
  'close-to-threshold',
  'other-cycle-times',
  'unknown',
] as const;
export type Cause = (typeof causes)[number];

/** What must be read besides the metric types of the rules, of what observers have stored. */
export const countTypes: readonly string[] = Object.values(containerCounts);

export interface CompareOptions extends ReplayedPolicy {
  readonly span: Span;
  /** By the acting fleet, and by observers, which also store numbers of containers. */
  readonly theirs: readonly Recording[];
  readonly ours: readonly Recording[];
  readonly settings: ReplaySettings;
}

export interface MetricComparison extends ValueComparison {
  /** null: alike. */
  readonly cause: Cause | null;
  /** Where one of them has stored nothing, for the cause `gap`. */
  readonly gap: Span | null;
}

export interface Comparison {
  readonly appId: string;
  /** The time that both cover. */
  readonly span: Span;
  readonly metrics: readonly MetricComparison[];
  readonly theirScalings: readonly Scaling[];
  readonly ourScalings: readonly Scaling[];
  readonly difference: Difference;
  /** Of the app; null: alike. */
  readonly cause: Cause | null;
}

/** A share of values that differ, above which a metric type does; the ends of a spike are no difference. */
const toleratedShare = 0.1;
/** The Go eventgenerator's 100 envelopes hold 16 of each instance. */
const largestWholeRead = 6n;

/** Compares what two fleets found out about one app, and what the rules make of it. */
export function compare(options: CompareOptions): Comparison {
  const { policy, limits, theirs, ours, settings } = options;
  const metricTypes = [...metricTypesOf(policy)];
  const span = commonSpan(options, metricTypes);
  const metrics = metricTypes.map((metricType) => compareMetric(metricType, { ...options, span }));
  const instances =
    newestBefore(ours, containerCounts.web, span.fromMs) ?? BigInt(Math.max(1, limits.minInstances ?? 1));
  const scalingsOf = (recordings: readonly Recording[]) =>
    replay({
      ...{ policy, limits, settings, load: null },
      recordings: recordings.filter(({ metricType }) => metricTypes.includes(metricType)),
      fromNs: msToNs(span.fromMs),
      untilNs: msToNs(span.toMs),
      instances: Number(instances),
    }).scalings;
  const [theirScalings, ourScalings] = [scalingsOf(theirs), scalingsOf(ours)];
  const difference = differenceOf(theirScalings, ourScalings, 2 * settings.collectionIntervalMs);
  const causesFound = metrics.flatMap(({ cause }) => (cause === null ? [] : [cause]));
  return {
    appId: policy.appId,
    ...{ span, metrics, theirScalings, ourScalings, difference },
    cause: causesFound[0] ?? causeOfScalings(difference, options),
  };
}

/** Observers begin later, and both end now: what only one of them can have is no gap. */
function commonSpan({ span, theirs, ours, settings }: CompareOptions, metricTypes: readonly string[]): Span {
  const [there, here] = [endsOf(theirs, metricTypes), endsOf(ours, metricTypes)];
  if (!there || !here) return span;
  return {
    fromMs: Math.max(span.fromMs, there.fromMs, here.fromMs),
    toMs: Math.min(span.toMs, Math.min(there.toMs, here.toMs) + settings.collectionIntervalMs),
  };
}

function endsOf(recordings: readonly Recording[], metricTypes: readonly string[]): Span | null {
  const used = recordings.filter(({ metricType }) => metricTypes.includes(metricType));
  const times = used.flatMap(({ ms, size }) => (size > 0 ? [ms[0] ?? 0, ms[size - 1] ?? 0] : []));
  return times.length === 0 ? null : { fromMs: Math.min(...times), toMs: Math.max(...times) };
}

function compareMetric(metricType: string, options: CompareOptions): MetricComparison {
  const { span, settings } = options;
  const of = (recordings: readonly Recording[]): Recording =>
    recordings.find((recording) => recording.metricType === metricType) ??
    new Recording(metricType, '', new BigInt64Array());
  const [theirs, ours] = [of(options.theirs), of(options.ours)];
  const values = compareValues(theirs, ours, span, 1.5 * settings.collectionIntervalMs);
  const cause = causeOf(values, options);
  const intervalMs = settings.collectionIntervalMs;
  if (cause !== null) return { ...values, cause, gap: null };
  const gap = gapOfOne(gapsOf([theirs], span, intervalMs), gapsOf([ours], span, intervalMs), intervalMs);
  return { ...values, first: null, cause: gap && 'gap', gap };
}

function causeOf(values: ValueComparison, { ours }: CompareOptions): Cause | null {
  const { metricType, first, shareDiffering, shareOneMore, shareWithoutData, shareAgainstZero } = values;
  if (first === null) return null;
  if (shareWithoutData > toleratedShare) {
    return shareAgainstZero > shareWithoutData / 2 ? 'no-data-against-0' : 'unknown';
  }
  if (shareDiffering <= toleratedShare) {
    return isPercentage(metricType) && shareOneMore > toleratedShare ? 'percentage-rounding' : null;
  }
  if (isHttpMetricType(metricType)) return 'unknown';
  const count = (name: string) => newestBefore(ours, name, first.atMs) ?? 0n;
  if (count(containerCounts.web) > largestWholeRead) return 'more-than-6-instances';
  return count(containerCounts.others) > 0n ? 'worker-process' : 'unknown';
}

/** Why two fleets with values that are alike scale differently: by what the other one has of the rule that fired first. */
function causeOfScalings(
  { onlyFirst, onlySecond }: Difference,
  { policy, theirs, ours, settings }: CompareOptions,
): Cause | null {
  const [first] = [
    ...onlyFirst.slice(0, 1).map((scaling) => ({ scaling, others: ours })),
    ...onlySecond.slice(0, 1).map((scaling) => ({ scaling, others: theirs })),
  ].sort((a, b) => a.scaling.atMs - b.scaling.atMs);
  if (!first) return null;
  const { rule, atMs } = first.scaling;
  const series = Tape.whole(first.others).series(policy.appId, rule.metricType);
  const verdict = judge(series, breachTerms(rule, settings), msToNs(atMs));
  if (verdict === 'not-breached') return 'close-to-threshold';
  return verdict === 'no-data' ? 'unknown' : 'other-cycle-times';
}

/** The first gap of the one that has more of them, where that is more than a cycle or two. */
function gapOfOne(theirs: readonly Span[], ours: readonly Span[], intervalMs: number): Span | null {
  const length = (gaps: readonly Span[]) => gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  const moreMs = length(theirs) - length(ours);
  if (Math.abs(moreMs) <= 3 * intervalMs) return null;
  const [more, less] = moreMs > 0 ? [theirs, ours] : [ours, theirs];
  const isShared = (gap: Span) => less.some(({ fromMs, toMs }) => fromMs < gap.toMs && toMs > gap.fromMs);
  return more.find((gap) => !isShared(gap)) ?? more[0] ?? null;
}

function isPercentage(metricType: string): boolean {
  return metricType === 'memoryutil' || metricType === 'diskutil';
}

/** The newest value at a time, else the first after it. */
function newestBefore(recordings: readonly Recording[], name: string, atMs: number): bigint | null {
  const recording = recordings.find(({ metricType }) => metricType === name);
  if (!recording || recording.size === 0) return null;
  return recording.valueAt(Math.max(0, recording.firstFrom(atMs + 1) - 1));
}

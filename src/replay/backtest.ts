import { msToNs } from '../util/clock.js';
import { breachDurationSecs, metricTypesOf } from '../policy/policy.js';
import { coverageOf, type Coverage, type Span } from './coverage.js';
import { sharedAmongInstances, sharedLoad } from './load-model.js';
import { differenceOf, isOut, type Difference } from './difference.js';
import { replay, type Replayed, type ReplayedPolicy, type ReplaySettings, type Scaling } from './replay.js';
import { instancesAt, type InstanceCounts } from './scaling-history.js';
import type { Recording } from './recording.js';

export interface NamedPolicy extends ReplayedPolicy {
  readonly name: string;
  /** Their limits are not played. */
  readonly hasSchedules: boolean;
}

export interface BacktestOptions {
  readonly appId: string;
  readonly span: Span;
  readonly tried: NamedPolicy;
  /** What it is compared with; null: nothing. */
  readonly against: NamedPolicy | null;
  readonly recordings: readonly Recording[];
  readonly settings: ReplaySettings;
  /** The real numbers of instances; null: unknown, the loop stays open. */
  readonly counts: InstanceCounts | null;
  /** When the open loop begins; null: the minimum of each policy. */
  readonly instances: number | null;
}

export interface Trial extends Replayed {
  readonly tried: NamedPolicy;
  readonly instancesAtStart: number;
  /** Scalings against the direction of the one before, within 15 minutes of it. */
  readonly reversals: number;
  /** Metric types of rules that have no value at all in the time. */
  readonly withoutValues: readonly string[];
}

export interface Backtest {
  readonly appId: string;
  readonly span: Span;
  readonly settings: ReplaySettings;
  readonly recordings: readonly Recording[];
  readonly coverage: Coverage;
  readonly trial: Trial;
  readonly against: Trial | null;
  /** null: open loop; else the metric types that the load model applies to. */
  readonly closedFor: readonly string[] | null;
  /** null where there is nothing to compare with. */
  readonly difference: Difference | null;
}

/** The policy that was tried, and the one it is compared with. */
export function trialsOf({ trial, against }: Backtest): readonly Trial[] {
  return against ? [trial, against] : [trial];
}

const reversalMs = 15 * 60_000;

/** Tries policies on what was recorded of one app. */
export function backtest(options: BacktestOptions): Backtest {
  const { appId, span, recordings, settings, counts } = options;
  const trial = attempt(options.tried, options);
  const against = options.against && attempt(options.against, options);
  const used = recordings.filter(({ size }) => size > 0).map(({ metricType }) => metricType);
  return {
    appId,
    span,
    settings,
    recordings,
    coverage: coverageOf(recordings, span, settings.collectionIntervalMs),
    trial,
    against,
    closedFor: counts && used.filter((metricType) => sharedAmongInstances.has(metricType)),
    difference: against && differenceOf(trial.scalings, against.scalings, settings.collectionIntervalMs),
  };
}

/** The metric types that rules of these policies need, and how far back before a time they look. */
export function neededRecordings(
  policies: readonly ReplayedPolicy[],
  { defaultBreachDurationSecs }: ReplaySettings,
): { readonly metricTypes: string[]; readonly reachMs: number } {
  const rules = policies.flatMap(({ policy }) => policy.rules);
  const longestSecs = Math.max(
    0,
    ...rules.map((rule) => breachDurationSecs(rule, defaultBreachDurationSecs)),
  );
  return {
    metricTypes: [...metricTypesOf({ rules })],
    reachMs: 2_000 * longestSecs,
  };
}

function attempt(tried: NamedPolicy, options: BacktestOptions): Trial {
  const { span, recordings, settings, counts } = options;
  const instances = counts
    ? instancesAt(counts, span.fromMs)
    : (options.instances ?? Math.max(1, tried.limits.minInstances ?? 1));
  const replayed = replay({
    ...tried,
    recordings,
    fromNs: msToNs(span.fromMs),
    untilNs: msToNs(span.toMs),
    instances,
    settings,
    load: counts && sharedLoad(counts),
  });
  const withValues = new Set(
    recordings
      .filter((recording) =>
        recording.numbers.subarray(recording.firstFrom(span.fromMs)).some((value) => !Number.isNaN(value)),
      )
      .map(({ metricType }) => metricType),
  );
  const metricTypes = metricTypesOf(tried.policy);
  return {
    ...replayed,
    tried,
    instancesAtStart: instances,
    reversals: reversalsOf(replayed.scalings),
    withoutValues: [...metricTypes].filter((metricType) => !withValues.has(metricType)),
  };
}

function reversalsOf(scalings: readonly Scaling[]): number {
  return scalings.filter((scaling, index) => {
    const before = scalings[index - 1];
    return (
      before !== undefined && isOut(before) !== isOut(scaling) && scaling.atMs - before.atMs <= reversalMs
    );
  }).length;
}

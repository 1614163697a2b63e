import { timeText } from '../explanation/sentence.js';
import { breachDurationSecs } from '../policy/policy.js';
import { trialsOf, type Backtest, type NamedPolicy, type Trial } from '../replay/backtest.js';
import { isOut } from '../replay/difference.js';
import type { Coverage, Span } from '../replay/coverage.js';
import type { Scaling } from '../replay/replay.js';
import { backtestCharts } from './backtest-charts.js';
import { durationText } from './duration-text.js';
import { printable, renderTable, type Column } from './table.js';

/** Of one list; --json has all. */
const maxScalings = 60;
const maxGaps = 5;

/** A back-test for a terminal. Times are UTC. */
export function backtestText(result: Backtest): string {
  const { appId } = result;
  const facts: (readonly [string, string])[] = [
    ['app', appId],
    ['time', timeOf(result)],
    ['loop', loopText(result)],
    ...doubts(result).map((text) => ['but', text] as const),
  ];
  const trials = trialsOf(result);
  return [
    ...facts.map(([title, text]) => `${title.padEnd(5)} ${printable(text)}\n`),
    '\n',
    renderTable(trialColumns, trials),
    ...trials.flatMap((each) => scalingLines(each, result)),
    ...differenceLines(result),
    ...backtestCharts(result),
  ].join('');
}

function timeOf({ span, coverage }: Backtest): string {
  const { cycles, medianDistanceMs, gaps } = coverage;
  const distance = medianDistanceMs === null ? '' : `, ${durationText(medianDistanceMs)} apart`;
  const gapsMs = gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  const missing =
    gaps.length === 0 ? 'no gap' : `${counted(gaps.length, 'gap')} of ${durationText(gapsMs)} in all`;
  return `${timeText(span.fromMs, 0)} to ${timeText(span.toMs, 0)} UTC: ${counted(cycles, 'cycle')}${distance}; ${missing}`;
}

function loopText({ closedFor }: Backtest): string {
  if (closedFor === null) {
    return 'open: the values are those of the real number of instances, which is not recorded';
  }
  if (closedFor.length === 0) return 'closed, but none of the metric types is shared among instances';
  return `closed for ${closedFor.join(', ')}: their load is shared among the instances of the replay; other values stay`;
}

/** What makes the result doubtful. */
function doubts(result: Backtest): string[] {
  const { coverage, settings, recordings } = result;
  const { collectionIntervalMs } = settings;
  const { medianDistanceMs } = coverage;
  const isOff =
    medianDistanceMs !== null && Math.abs(medianDistanceMs - collectionIntervalMs) > collectionIntervalMs / 4;
  return [
    ...(recordings.length === 0
      ? ['there are no rules to replay']
      : coverage.cycles === 0
        ? ['nothing was recorded of the app in this time']
        : []),
    ...(isOff && medianDistanceMs !== null
      ? [
          `the interval is taken to be ${durationText(collectionIntervalMs)}: --interval ${Math.round(medianDistanceMs / 1_000)}s says otherwise`,
        ]
      : []),
    ...trialsOf(result).flatMap((each) => trialDoubts(each, coverage)),
    ...longestGaps(coverage.gaps, result.span),
  ];
}

function trialDoubts({ tried, withoutValues, rejected }: Trial, { cycles }: Coverage): string[] {
  const { name, limits, hasSchedules } = tried;
  const noLimits = limits.minInstances === null || limits.maxInstances === null;
  return [
    ...(noLimits ? [`${name} lacks instance_min_count or instance_max_count: nothing limits it there`] : []),
    ...(hasSchedules ? [`${name} has schedules: their limits are not played, only those of the policy`] : []),
    ...(cycles === 0
      ? []
      : withoutValues.map(
          (metricType) =>
            `${name} needs ${metricType}, of which nothing was recorded: only metric types of the policy in force are`,
        )),
    ...(rejected > 0 ? [`${name}: the scaling engine would reject ${counted(rejected, 'trigger')}`] : []),
  ];
}

function longestGaps(gaps: readonly Span[], span: Span): string[] {
  return [...gaps]
    .sort((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))
    .slice(0, maxGaps)
    .map(
      ({ fromMs, toMs }) =>
        `nothing was recorded from ${timeText(fromMs, span.toMs)} to ${timeText(toMs, span.toMs)} (${durationText(toMs - fromMs)})`,
    );
}

const trialColumns: readonly Column<Trial>[] = [
  { title: 'POLICY', cell: ({ tried }) => printable(tried.name) },
  { title: 'LIMITS', cell: ({ tried }) => limitsText(tried) },
  { title: 'START', cell: ({ instancesAtStart }) => String(instancesAtStart) },
  ...countColumns(),
];

/** What is counted of a trial, a column each. */
export function countColumns(): Column<Trial>[] {
  return [
    { title: 'OUT', cell: ({ scalings }) => String(scalings.filter(isOut).length) },
    { title: 'IN', cell: ({ scalings }) => String(scalings.filter((each) => !isOut(each)).length) },
    { title: 'REVERSED', cell: ({ reversals }) => String(reversals) },
    { title: 'INSTANCE-HOURS', cell: ({ instanceMs }) => (instanceMs / 3_600_000).toFixed(1) },
    { title: 'IN BREACH AT MAX', cell: ({ atMaxMs }) => durationText(atMaxMs) },
    { title: 'AT MIN', cell: ({ atMinMs }) => durationText(atMinMs) },
  ];
}

function limitsText({ limits }: NamedPolicy): string {
  return `${limits.minInstances ?? '?'}-${limits.maxInstances ?? '?'}`;
}

function scalingLines({ tried, scalings }: Trial, result: Backtest): string[] {
  const title = `\nscalings with ${printable(tried.name)}${scalings.length === 0 ? ': none' : ''}\n`;
  return [title, ...listed(scalings, result)];
}

function listed(scalings: readonly Scaling[], result: Backtest): string[] {
  const more = scalings.length - maxScalings;
  return [
    ...scalings.slice(0, maxScalings).map((scaling) => scalingLine(scaling, result)),
    ...(more > 0 ? [`  and ${more} more; --json has all of them\n`] : []),
  ];
}

function scalingLine(scaling: Scaling, { settings }: Backtest): string {
  const { atMs, number, rule, unit, value, from, to } = scaling;
  const secs = breachDurationSecs(rule, settings.defaultBreachDurationSecs);
  const inUnit = unit === '' ? '' : ` ${unit}`;
  return printable(
    `  ${timeText(atMs, 0)}  ${from} → ${to}  rule ${number}: ${rule.metricType} ${rule.operator} ${rule.threshold}${inUnit} for ${secs} s, ${value}${inUnit}`,
  ).concat('\n');
}

function differenceLines(result: Backtest): string[] {
  const { difference, trial, against } = result;
  if (!difference || !against) return [];
  const { common, onlyFirst, onlySecond } = difference;
  const only = ({ tried }: Trial, scalings: readonly Scaling[]) =>
    scalings.length === 0 ? [] : [`only with ${printable(tried.name)}\n`, ...listed(scalings, result)];
  return [
    `\ndifference: ${counted(common, 'scaling')} in common, ${onlyFirst.length} only with ${printable(trial.tried.name)}, ${onlySecond.length} only with ${printable(against.tried.name)}\n`,
    ...only(trial, onlyFirst),
    ...only(against, onlySecond),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

import { chart, chartSize, type ChartMark, type ChartPoint } from '../pages/chart.js';
import { chartStyle, colours } from '../pages/chart-style.js';
import { Html, markup } from '../pages/html.js';
import { breachDurationSecs, type ScalingRule } from '../policy/policy.js';
import { trialsOf, type Backtest, type Trial } from '../replay/backtest.js';
import type { Recording } from '../replay/recording.js';
import { isoTime } from '../util/iso-time.js';

/** A policy may have any number of rules. */
const maxCharts = 8;
const margin = 16;
const titleHeight = 26;
/** Of the two lines at the top. */
const headHeight = 44;
/** Characters that fit above a chart. */
const maxTitle = 110;

interface TitledChart {
  readonly title: string;
  readonly drawn: Html;
}

/** The values with the thresholds and scalings of the policy, and the number of instances, as an SVG of its own. */
export function backtestSvg(result: Backtest): string {
  const { trial, appId, closedFor } = result;
  const charts = [
    ...trial.tried.policy.rules.slice(0, maxCharts).map((rule, index) => ruleChart(rule, index + 1, result)),
    ...trialsOf(result).map((each) => instancesChart(each, result)),
  ];
  const step = titleHeight + chartSize.height + margin;
  const [width, height] = [chartSize.width + 2 * margin, headHeight + margin + charts.length * step];
  const loop = closedFor === null ? 'open loop: values of the real number of instances' : 'closed loop';
  const placed = charts.map(
    ({ title, drawn }, index) =>
      markup`<g transform="translate(${margin},${margin + headHeight + index * step})"><text class="title" y="16">${fitting(title)}</text>
<g transform="translate(0,${titleHeight})">${drawn}</g></g>
`,
  );
  return markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>${new Html(colours)}text { font-family: system-ui, sans-serif; fill: var(--text); } .title { font-size: 14px; }${new Html(chartStyle)}</style>
<rect width="${width}" height="${height}" style="fill: var(--back)"/>
<text class="title" x="${margin}" y="${margin + 10}">App ${appId}, ${loop}</text>
<text class="axis" x="${margin}" y="${margin + 32}">dashed: the threshold, or the maximum; vertical: scalings by the rule; along the bottom: no data</text>
${placed}</svg>
`.text;
}

function fitting(title: string): string {
  return title.length > maxTitle ? `${title.slice(0, maxTitle - 1)}…` : title;
}

function ruleChart(rule: ScalingRule, number: number, result: Backtest): TitledChart {
  const { recordings, span, trial, settings } = result;
  const recording = recordings.find(({ metricType }) => metricType === rule.metricType);
  const points = recording ? chartPoints(recording, span.fromMs) : [];
  const secs = breachDurationSecs(rule, settings.defaultBreachDurationSecs);
  const unit = recording?.unit ? ` ${recording.unit}` : '';
  const title = `rule ${number}: ${rule.metricType} ${rule.operator} ${rule.threshold}${unit} for ${secs} s → ${rule.adjustment}; ${trial.tried.name}`;
  const marks = trial.scalings.filter((scaling) => scaling.number === number).map(markOf);
  return { title, drawn: drawing(title, points, Number(rule.threshold), marks, result) };
}

function chartPoints(recording: Recording, fromMs: number): ChartPoint[] {
  const first = recording.firstFrom(fromMs);
  return Array.from(recording.numbers.subarray(first), (value, index) => ({
    atMs: recording.ms[first + index] ?? 0,
    value: Number.isNaN(value) ? null : value,
  }));
}

function markOf({ atMs, from, to }: Trial['scalings'][number]): ChartMark {
  return { atMs, text: `${isoTime(atMs)}: ${from} → ${to}` };
}

/** A line of steps, with the maximum as its threshold. */
function instancesChart(trial: Trial, result: Backtest): TitledChart {
  const { span } = result;
  const { tried, scalings, instancesAtStart } = trial;
  const last = scalings.at(-1)?.to ?? instancesAtStart;
  const points = [
    { atMs: span.fromMs, value: instancesAtStart },
    ...scalings.flatMap(({ atMs, from, to }) => [
      { atMs, value: from },
      { atMs, value: to },
    ]),
    { atMs: span.toMs, value: last },
  ];
  const max = tried.limits.maxInstances ?? Math.max(...points.map(({ value }) => value));
  const title = `instances with ${tried.name}`;
  return { title, drawn: drawing(title, points, max, [], result, Infinity) };
}

function drawing(
  title: string,
  points: readonly ChartPoint[],
  threshold: number,
  marks: readonly ChartMark[],
  { span, settings }: Backtest,
  gapMs = 3 * settings.collectionIntervalMs,
): Html {
  return chart(points, { title, fromMs: span.fromMs, toMs: span.toMs, threshold, gapMs, marks });
}

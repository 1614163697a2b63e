import type { ChartPoint } from '../history/chart-points.js';
import { markup, type Html } from './html.js';

export type { ChartPoint };

export interface ChartMark {
  readonly atMs: number;
  readonly text: string;
}

export interface ChartOptions {
  readonly title: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly threshold: number;
  /** Points further apart than this are not connected: collections are missing between them. */
  readonly gapMs: number;
  /** Moments to point out, such as scalings. */
  readonly marks: readonly ChartMark[];
}

/** Of a chart, in pixels where nothing says otherwise. */
export const chartSize = { width: 850, height: 160 } as const;
const { width, height } = chartSize;
/** Room for the labels of the axes. */
const left = 70;
const bottom = 18;
const plotWidth = width - left;
const plotHeight = height - bottom;

/**
 * Values over time with the threshold, as SVG. Of the points of one pixel the smallest and the largest are drawn, so that
 * no peak is lost. `points` are in order of time.
 */
export function chart(points: readonly ChartPoint[], options: ChartOptions): Html {
  const { title, fromMs, toMs, threshold, marks } = options;
  const x = (atMs: number) => left + round(((atMs - fromMs) / Math.max(1, toMs - fromMs)) * plotWidth);
  const range = valueRange(points, threshold);
  const y = (value: number) => round(((range.max - value) / (range.max - range.min)) * plotHeight);
  const lines = connectedLines(points, options).map(
    (line) =>
      markup`<polyline
        class="values"
        points="${line.map(({ atMs, value }) => `${x(atMs)},${y(value)}`).join(' ')}"
      />`,
  );
  const noData = noDataSpans(points, x, options.gapMs).map(
    ([start, length]) =>
      markup`<rect class="no-data" x="${start}" y="${plotHeight - 4}" width="${length}" height="4" />`,
  );
  const marked = marks.map(
    ({ atMs, text }) =>
      markup`<line class="mark" x1="${x(atMs)}" y1="0" x2="${x(atMs)}" y2="${plotHeight}"
        ><title>${text}</title></line
      >`,
  );
  return markup`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
    <title>${title}</title>
    <text class="axis" x="${left - 6}" y="${y(range.largest) + 6}" text-anchor="end">${label(range.largest)}</text>
    <text class="axis" x="${left - 6}" y="${y(range.smallest)}" text-anchor="end">${label(range.smallest)}</text>
    <text class="axis" x="${left}" y="${height - 3}">${timeLabel(fromMs)}</text>
    <text class="axis" x="${width}" y="${height - 3}" text-anchor="end">${timeLabel(toMs)}</text>
    <rect class="frame" x="${left}" y="0" width="${plotWidth}" height="${plotHeight}" />
    ${noData}${marked}
    <line class="threshold" x1="${left}" y1="${y(threshold)}" x2="${width}" y2="${y(threshold)}" />
    ${lines}
  </svg>`;
}

interface Range {
  /** Of what is drawn, with some room. */
  readonly min: number;
  readonly max: number;
  readonly smallest: number;
  readonly largest: number;
}

/** Begins at 0 unless a value is negative, and always includes the threshold. */
function valueRange(points: readonly ChartPoint[], threshold: number): Range {
  let min = Math.min(0, threshold);
  let max = Math.max(0, threshold);
  for (const { value } of points) {
    if (value === null) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const room = (max - min || 1) * 0.05;
  return { min: min < 0 ? min - room : min, max: max + room, smallest: min, largest: max };
}

interface ValuePoint {
  readonly atMs: number;
  readonly value: number;
}

function connectedLines(
  points: readonly ChartPoint[],
  { fromMs, toMs, gapMs }: ChartOptions,
): ValuePoint[][] {
  const pixelMs = Math.max(1, (toMs - fromMs) / plotWidth);
  const lines: ValuePoint[][] = [];
  let line: ValuePoint[] = [];
  let lastMs = -Infinity;
  const end = () => {
    if (line.length > 0) lines.push(extremesByPixel(line, pixelMs));
    line = [];
  };
  for (const { atMs, value } of points) {
    if (value === null || atMs - lastMs > gapMs) end();
    lastMs = atMs;
    if (value !== null) line.push({ atMs, value });
  }
  end();
  return lines;
}

/** At most the first, smallest, largest and last point of each pixel. */
function extremesByPixel(line: readonly ValuePoint[], pixelMs: number): ValuePoint[] {
  const kept: ValuePoint[] = [];
  for (let begin = 0; begin < line.length;) {
    const pixel = Math.floor((line[begin]?.atMs ?? 0) / pixelMs);
    let end = begin;
    while (end < line.length && Math.floor((line[end]?.atMs ?? 0) / pixelMs) === pixel) end++;
    const here = line.slice(begin, end);
    const values = here.map(({ value }) => value);
    const extremes = [values.indexOf(Math.min(...values)), values.indexOf(Math.max(...values))];
    kept.push(
      ...here.filter((_, index) => index === 0 || index === here.length - 1 || extremes.includes(index)),
    );
    begin = end;
  }
  // A single point would be invisible as a line.
  return kept.length === 1
    ? [...kept, ...kept.map(({ atMs, value }) => ({ atMs: atMs + pixelMs, value }))]
    : kept;
}

/** Start and length in pixels of the times without data. Of a time without collections it is not known. */
function noDataSpans(
  points: readonly ChartPoint[],
  x: (atMs: number) => number,
  gapMs: number,
): [number, number][] {
  const spans: [number, number][] = [];
  for (const [index, { atMs, value }] of points.entries()) {
    if (value !== null) continue;
    const start = x(atMs);
    const nextMs = points[index + 1]?.atMs ?? atMs;
    const length = Math.max(1, round(x(nextMs - atMs > gapMs ? atMs : nextMs) - start));
    const last = spans.at(-1);
    if (last && start <= last[0] + last[1]) last[1] = Math.max(last[1], round(start + length - last[0]));
    else spans.push([start, length]);
  }
  return spans;
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

/** Costs half a millisecond to make. */
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

function label(value: number): string {
  return compact.format(value);
}

function timeLabel(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

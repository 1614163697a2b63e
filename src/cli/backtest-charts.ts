import type { Point } from '../explanation/point-series.js';
import type { Backtest } from '../replay/backtest.js';
import { isOut } from '../replay/difference.js';
import type { Span } from '../replay/coverage.js';
import type { Recording } from '../replay/recording.js';
import type { Scaling } from '../replay/replay.js';
import { chart } from './chart.js';
import { durationText } from './duration-text.js';
import { printable } from './table.js';

const maxWidth = 72;
/** Of a column, in collection intervals: narrower ones would be empty now and then. */
const shortestColumn = 1.25;
const maxCharts = 4;

/** Charts for a terminal, one for the first rule of each metric type, with the scalings below. */
export function backtestCharts({ trial, span, recordings, settings }: Backtest): string[] {
  const width = widthFor(span, settings.collectionIntervalMs);
  const seen = new Set<string>();
  return trial.tried.policy.rules
    .filter(({ metricType }) => !seen.has(metricType) && seen.add(metricType))
    .slice(0, maxCharts)
    .flatMap((rule) => {
      const recording = recordings.find(({ metricType }) => metricType === rule.metricType);
      const points = recording ? highestPoints(recording, span, width) : [];
      if (!points.some(({ value }) => value !== null)) return [];
      const title = `\n${printable(rule.metricType)}, the highest of each ${durationText((span.toMs - span.fromMs) / width)}, with a threshold of ${rule.threshold}\n`;
      const lines = [...chart(points, rule.threshold, width), marks(trial.scalings, span, width)];
      return [title, ...lines.map((line) => `${line}\n`)];
    });
}

/** The highest value of each column of a chart, the newest first; null where a column has none. */
function highestPoints(recording: Recording, span: Span, width: number): Point[] {
  const highest = Array.from({ length: width }, (): bigint | null => null);
  for (let index = recording.firstFrom(span.fromMs); index < recording.size; index++) {
    const column = columnOf(recording.ms[index] ?? 0, span, width);
    const value = recording.valueAt(index);
    const known = highest[column];
    if (known !== undefined && value !== null && (known === null || value > known)) highest[column] = value;
  }
  return highest.map((value, column) => ({ timestampNs: BigInt(column), value })).reverse();
}

function columnOf(atMs: number, { fromMs, toMs }: Span, width: number): number {
  return Math.min(width - 1, Math.floor(((atMs - fromMs) / (toMs - fromMs)) * width));
}

/** Where the app was scaled out, in, or both. */
function marks(scalings: readonly Scaling[], span: Span, width: number): string {
  const row = Array.from({ length: width }, () => ' ');
  for (const scaling of scalings) {
    const column = columnOf(scaling.atMs, span, width);
    const mark = isOut(scaling) ? '▲' : '▼';
    row[column] = row[column] === ' ' || row[column] === mark ? mark : '◆';
  }
  return row.join('').trimEnd();
}

function widthFor({ fromMs, toMs }: Span, intervalMs: number): number {
  return Math.min(maxWidth, Math.max(1, Math.floor((toMs - fromMs) / (shortestColumn * intervalMs))));
}

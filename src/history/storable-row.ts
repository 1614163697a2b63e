import type { AppMetric } from './app-metric.js';

/** Widths of the columns of `app_metric`, in characters. */
const widths = { appId: 255, metricType: 100, unit: 20 };

/**
 * The row as the table can hold it, or undefined. A unit comes from a custom metric's envelope as the app sent it, so
 * one app could otherwise cost all others their rows: it is cut, since a unit is for display. An app id or metric type
 * is never cut: the row would land in the history of another one.
 */
export function toStorable(row: AppMetric): AppMetric | undefined {
  if (hasNul(row.appId) || hasNul(row.metricType)) return undefined;
  if (!fits(row.appId, widths.appId) || !fits(row.metricType, widths.metricType)) return undefined;
  if (fits(row.unit, widths.unit) && !hasNul(row.unit)) return row;
  return { ...row, unit: [...row.unit.replaceAll('\0', '')].slice(0, widths.unit).join('') };
}

/** PostgreSQL's text cannot hold this character. */
function hasNul(text: string): boolean {
  return text.includes('\0');
}

/** PostgreSQL counts code points, which are never more than JavaScript's UTF-16 units. */
function fits(text: string, width: number): boolean {
  return text.length <= width || [...text].length <= width;
}

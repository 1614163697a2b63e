import type { Point } from '../explanation/point-series.js';

const bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
const fullBar = '█';
const rows = 5;
const eighths = bars.length;

/**
 * Values as bars, the newest on the right, with a line at the threshold: `rows` lines. *No data* is a dot on the ground.
 * The top is the highest value, or a quarter above the threshold.
 */
export function chart(newestFirst: readonly Point[], threshold: bigint, width: number): string[] {
  const points = newestFirst.slice(0, width).reverse();
  const values = points.flatMap(({ value }) => (value === null ? [] : [Number(value)]));
  const top = Math.max(1, 1.25 * Number(threshold), ...values);
  const levels = points.map(({ value }) =>
    value === null ? null : Math.max(1, Math.round((Math.max(0, Number(value)) / top) * rows * eighths)),
  );
  const thresholdRow = Math.min(rows - 1, Math.max(0, Math.floor((Number(threshold) / top) * rows)));
  return Array.from({ length: rows }, (_, index) => {
    const row = rows - 1 - index;
    const blank = row === thresholdRow ? '─' : ' ';
    const label = row === thresholdRow ? ` ${threshold}` : '';
    return `${levels.map((level) => cellOf(level, row, blank)).join('')}${label}`.trimEnd();
  });
}

function cellOf(level: number | null, row: number, blank: string): string {
  if (level === null) return row === 0 ? '·' : blank;
  const height = level - row * eighths;
  if (height <= 0) return blank;
  return height >= eighths ? fullBar : (bars[height - 1] ?? blank);
}

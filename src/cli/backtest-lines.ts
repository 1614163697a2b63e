import type { Backtest } from '../replay/backtest.js';
import { countColumns } from './backtest-text.js';
import { printable } from './table.js';

interface LineColumn {
  readonly title: string;
  readonly width: number;
  readonly cell: (result: Backtest) => string;
}

const lineColumns = (isCompared: boolean): readonly LineColumn[] => [
  { title: 'CYCLES', width: 6, cell: ({ coverage }) => String(coverage.cycles) },
  { title: 'GAPS', width: 5, cell: ({ coverage }) => String(coverage.gaps.length) },
  ...countColumns().map(({ title, cell }) => ({
    title,
    width: title.length,
    cell: ({ trial }: Backtest) => cell(trial),
  })),
  ...(isCompared
    ? [
        {
          title: 'AGAINST',
          width: 7,
          cell: ({ against }: Backtest) => String(against?.scalings.length ?? 0),
        },
        {
          title: 'DIFFERENT',
          width: 9,
          cell: ({ difference }: Backtest) =>
            String((difference?.onlyFirst.length ?? 0) + (difference?.onlySecond.length ?? 0)),
        },
      ]
    : []),
];

const appWidth = 36;

export function backtestLineTitles(isCompared: boolean): string {
  return line([
    'APP'.padEnd(appWidth),
    ...lineColumns(isCompared).map(({ title, width }) => title.padEnd(width)),
  ]);
}

/** The line of one app. `result` is the problem where the app could not be tried. Widths are fixed, as lines come one by one. */
export function backtestLine(appId: string, result: Backtest | string): string {
  const app = printable(appId).padEnd(appWidth);
  if (typeof result === 'string') return line([app, printable(result)]);
  return line([
    app,
    ...lineColumns(result.against !== null).map(({ width, cell }) => cell(result).padEnd(width)),
  ]);
}

function line(cells: readonly string[]): string {
  return `${cells.join('  ').trimEnd()}\n`;
}

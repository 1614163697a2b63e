import type { Backtest } from '../replay/backtest.js';
import { countColumns } from './backtest-text.js';
import { printable, type Column } from './table.js';

/** Cells are as wide as titles, as lines come one by one; so GAPS has a space more. */
const columns: readonly Column<Backtest>[] = [
  { title: 'CYCLES', cell: ({ coverage }) => String(coverage.cycles) },
  { title: 'GAPS ', cell: ({ coverage }) => String(coverage.gaps.length) },
  ...countColumns().map(({ title, cell }) => ({ title, cell: ({ trial }: Backtest) => cell(trial) })),
];

const columnsOfDifference: readonly Column<Backtest>[] = [
  { title: 'AGAINST', cell: ({ against }) => String(against?.scalings.length ?? 0) },
  {
    title: 'DIFFERENT',
    cell: ({ difference }) =>
      String((difference?.onlyFirst.length ?? 0) + (difference?.onlySecond.length ?? 0)),
  },
];

const lineColumns = (isCompared: boolean) => (isCompared ? [...columns, ...columnsOfDifference] : columns);

const appWidth = 36;

export function backtestLineTitles(isCompared: boolean): string {
  return line(['APP'.padEnd(appWidth), ...lineColumns(isCompared).map(({ title }) => title)]);
}

/** The line of one app. `result` is the problem where the app could not be tried. */
export function backtestLine(appId: string, result: Backtest | string): string {
  const app = printable(appId).padEnd(appWidth);
  if (typeof result === 'string') return line([app, printable(result)]);
  const isCompared = result.against !== null;
  return line([app, ...lineColumns(isCompared).map(({ title, cell }) => cell(result).padEnd(title.length))]);
}

function line(cells: readonly string[]): string {
  return `${cells.join('  ').trimEnd()}\n`;
}

import { reaches, type BenchmarkResult, type Figure } from './benchmark.js';

/** What became of one benchmark, or of one event of it. */
export interface Report {
  readonly name: string;
  readonly event?: string;
  readonly secs: number;
  readonly outcome: { readonly figures: readonly Figure[] } | { readonly error: string };
}

/** One report, or one for each event. */
export function reportsOf(name: string, secs: number, { figures, events }: BenchmarkResult): Report[] {
  if (!events) return [{ name, secs, outcome: { figures } }];
  return events.map((event) => ({ name, event: event.name, secs: event.secs, outcome: event.outcome }));
}

/** Every target is reached. A run with smaller sizes says nothing about them. */
export function isOk({ outcome }: Report): boolean {
  return 'figures' in outcome && outcome.figures.every(reaches);
}

/** One JSON line. `ok` is null where targets are not judged. */
export function jsonLine(report: Report, quick: boolean): string {
  const { name, event, secs, outcome } = report;
  return JSON.stringify({
    benchmark: name,
    ...(event === undefined ? {} : { event }),
    ok: quick && 'figures' in outcome ? null : isOk(report),
    ...(quick ? { quick } : {}),
    ...('figures' in outcome
      ? Object.fromEntries(outcome.figures.map((figure) => [figure.name, rounded(figure.value)]))
      : { error: outcome.error }),
    ...('figures' in outcome && !quick ? { missed: missed(outcome.figures) } : {}),
    seconds: Math.round(secs),
  });
}

/** A table for people. */
export function table(report: Report, quick: boolean): string {
  const { name, event, secs, outcome } = report;
  const title = `${event === undefined ? name : `${name}: ${event}`} (${Math.round(secs)} s)`;
  if ('error' in outcome) return `${title}: ${outcome.error}\n`;
  const width = Math.max(...outcome.figures.map((figure) => figure.name.length));
  const lines = outcome.figures.map((figure) => {
    const value = String(rounded(figure.value)).padStart(12);
    return `  ${figure.name.padEnd(width)} ${value}  ${quick ? '' : verdict(figure)}`.trimEnd();
  });
  return [title, ...lines, ''].join('\n');
}

function verdict(figure: Figure): string {
  const { target } = figure;
  if (target === undefined) return '';
  const text = 'atMost' in target ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`;
  return reaches(figure) ? text : `${text}  MISSED`;
}

function missed(figures: readonly Figure[]): string[] {
  return figures.filter((figure) => !reaches(figure)).map((figure) => figure.name);
}

/** Three significant digits of a fraction; large numbers whole. */
function rounded(value: number): number | string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

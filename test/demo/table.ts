import { sideOf, type AppState, type DemoState } from './app-state.js';
import { decisionText } from './decision-text.js';
import { cut, fit, toned, type Look, type Tone } from './look.js';
import { sparkline, toneOf } from './sparkline.js';
import { instancesText, limitsText, valueText } from './texts.js';

interface Column {
  readonly title: string;
  readonly width: number;
  /** Exactly as wide as the column, but for escape sequences. */
  readonly cell: (app: AppState) => string;
}

const plotWidth = 32;
/** From here on there is room for the stories, and bars enough. */
const columnsWithStories = 112;
const decisionWidth = 20;
const minBars = 6;
const maxBars = 40;
/** For so long a scaling is news, ms. */
const newsMs = 4000;

/** Whether a table this wide has a column for the apps' stories. */
export function tellsStories(columns: number): boolean {
  return columns >= columnsWithStories;
}

/** One line per app under a line of titles, none wider than the terminal. */
export function renderTable(state: DemoState, columns: number, look: Look): string[] {
  const chosen = columnsWithin(columns, state, look);
  const titles = chosen.map(({ title, width }) => fit(look, title, width)).join(' ');
  return [
    toned(look, 'quiet', titles.trimEnd()),
    ...state.apps.map((app) => chosen.map(({ cell }) => cell(app)).join(' ')),
  ];
}

/** All columns fit into 80 characters; where there are less, the least telling go first. */
function columnsWithin(total: number, state: DemoState, look: Look): Column[] {
  const { name, plot, instances, metric, value, limits } = plainColumns(state, look);
  const widthOf = (some: readonly Column[]) => some.reduce((sum, { width }) => sum + width + 1, 0);
  let chosen = [name, instances, metric, value, limits];
  for (const optional of [limits, metric, instances]) {
    if (widthOf(chosen) + decisionWidth > total) chosen = chosen.filter((column) => column !== optional);
  }
  if (tellsStories(total)) chosen.splice(1, 0, plot);
  const bars = Math.min(maxBars, total - widthOf(chosen) - decisionWidth - 1);
  if (bars >= minBars) chosen.push(barsColumn(bars, look));
  return [
    ...chosen,
    decisionColumn(Math.max(0, Math.min(decisionWidth, total - widthOf(chosen))), state, look),
  ];
}

function plainColumns(state: DemoState, look: Look) {
  const column = (
    title: string,
    width: number,
    text: (app: AppState) => string,
    tone: (app: AppState) => Tone = () => 'plain',
  ): Column => ({ title, width, cell: (app) => toned(look, tone(app), fit(look, text(app), width)) });
  return {
    name: column(
      'app',
      10,
      ({ actor }) => actor.name,
      () => 'strong',
    ),
    plot: column(
      'story',
      plotWidth,
      ({ actor }) => actor.plot,
      () => 'quiet',
    ),
    instances: column('instances', 9, instancesText, (app) => (isNews(app, state.nowMs) ? 'good' : 'plain')),
    metric: column('metric', 12, ({ actor }) => actor.metricType),
    value: column('value', 7, valueText, ({ actor, points }) => toneOf(actor, points.at(-1)?.value ?? null)),
    limits: column('limits', 6, limitsText),
  };
}

function barsColumn(width: number, look: Look): Column {
  return {
    title: 'recently',
    width,
    cell: ({ actor, points }) => sparkline(actor, points, width, look),
  };
}

function decisionColumn(width: number, { nowMs }: DemoState, look: Look): Column {
  return {
    title: 'last decision',
    width,
    cell: (app) => toned(look, decisionTone(app, nowMs), cut(look, decisionText(app, nowMs).text, width)),
  };
}

function decisionTone(app: AppState, nowMs: number): Tone {
  if (isNews(app, nowMs)) return 'good';
  const side = sideOf(app.actor, app.points.at(-1)?.value ?? null);
  const waits = app.evaluation?.outcome === 'not-fired' && (side === 'above' || side === 'below');
  return waits ? side : 'plain';
}

function isNews({ trigger }: AppState, nowMs: number): boolean {
  return trigger?.result === 'scaled' && nowMs - trigger.atMs < newsMs;
}

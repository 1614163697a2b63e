import type { DemoState } from './app-state.js';
import { cut, toned, wrap, type Look } from './look.js';
import { renderTable, tellsStories } from './table.js';
import { scalingText, sinceStart, times, whyText } from './texts.js';

/** Wider lines are hard to follow with the eyes. */
const maxColumns = 132;
const maxNews = 8;
/** Rows that must be left for news before the apps' stories get some. */
const rowsForNews = 4;

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** The whole screen: no line is wider, and there are no more of them, than the terminal has. */
export function renderScreen(state: DemoState, size: ScreenSize, look: Look): string[] {
  const columns = Math.min(size.columns, maxColumns);
  const lines = header(state, columns, look);
  if (state.apps.length > 0) {
    lines.push('', ...renderTable(state, columns, look), '', ...explanation(state, columns, look));
    const stories = tellsStories(columns) ? [] : storyLines(state, columns, look);
    if (lines.length + stories.length + rowsForNews <= size.rows) lines.push(...stories);
  }
  const room = Math.min(maxNews, size.rows - lines.length - 1);
  if (room > 0 && state.scalings.length > 0) lines.push('', ...newsLines(state, room, columns, look));
  return lines.slice(0, Math.max(1, size.rows));
}

function header(
  { nowMs, startedMs, timeoutSecs, activity, trouble }: DemoState,
  columns: number,
  look: Look,
) {
  const title = 'Eventgenerator demo';
  const limit = timeoutSecs === undefined ? 'Ctrl-C ends it' : `at most ${timeoutSecs} s`;
  const time = `${clockTime(nowMs)}  ${Math.floor((nowMs - startedMs) / 1000)} s (${limit})`;
  const wide = title.length + time.length < columns;
  return [
    toned(look, 'strong', cut(look, title, columns)) + (wide ? time.padStart(columns - title.length) : ''),
    trouble === undefined ? cut(look, activity, columns) : toned(look, 'bad', cut(look, trouble, columns)),
  ];
}

/** What a first-time viewer must know to understand the table, and what it is all about. */
function explanation(state: DemoState, columns: number, look: Look): string[] {
  const { breachDurationSecs: secs, scaledOut, scaledIn, timeoutSecs } = state;
  const rules = `Above its limits for ${secs} s an app gets one instance more, below for ${secs} s one less.`;
  const soFar = `So far apps were scaled out ${times(scaledOut)}, in ${times(scaledIn)}.`;
  const goal = timeoutSecs === undefined ? '' : ' The demo ends after one of each.';
  return [
    ...wrap(rules, columns).map((line) => toned(look, 'quiet', line)),
    ...wrap(soFar + goal, columns).map((line) =>
      toned(look, scaledOut + scaledIn > 0 ? 'good' : 'quiet', line),
    ),
  ];
}

/** What is behind the apps' names, where the table has no room for it. */
function storyLines({ apps }: DemoState, columns: number, look: Look): string[] {
  const stories = apps.map(({ actor }) => `${actor.name}: ${actor.plot}.`).join(' ');
  return ['', ...wrap(stories, columns).map((line) => toned(look, 'quiet', line))];
}

/** The newest scalings, the last one at the end. */
function newsLines(state: DemoState, count: number, columns: number, look: Look): string[] {
  return state.scalings.slice(-count).map((scaling) => {
    const when = sinceStart(state, scaling.atMs).padStart(7);
    return cut(look, `${when}  ${scalingText(scaling, look)}, ${whyText(scaling)}`, columns);
  });
}

/** The time of day where the viewer is. */
function clockTime(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

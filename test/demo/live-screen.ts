import type { DemoState } from './app-state.js';
import { cut, toned, type Look } from './look.js';
import { renderTable } from './table.js';
import { scalingText, sinceStart, times, whyText } from './texts.js';

/** Wider lines are hard to follow with the eyes. */
const maxColumns = 132;
const maxNews = 8;

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
  }
  const room = Math.min(maxNews, size.rows - lines.length - 1);
  const news = room > 0 ? state.scalings.slice(-room) : [];
  if (news.length > 0) lines.push('');
  for (const scaling of news) {
    const when = sinceStart(state, scaling.atMs).padStart(7);
    lines.push(cut(look, `${when}  ${scalingText(scaling, look)}, ${whyText(scaling)}`, columns));
  }
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
    toned(look, 'quiet', cut(look, rules, columns)),
    toned(look, scaledOut + scaledIn > 0 ? 'good' : 'quiet', cut(look, soFar + goal, columns)),
  ];
}

/** The time of day where the viewer is. */
function clockTime(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

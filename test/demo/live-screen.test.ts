import { describe, expect, test } from '@jest/globals';
import type { AppState } from './app-state.js';
import { castOf } from './cast.js';
import {
  actor,
  appState,
  demoState,
  plainLook,
  pointsUntil,
  scaling,
  startedMs,
  triggerRecord,
} from './examples.js';
import { renderScreen } from './live-screen.js';
import { hasUnicode } from './look.js';

const nowMs = startedMs + 20_000;
const usual = { columns: 80, rows: 24 };
const spike = appState({
  points: pointsUntil(nowMs, 10, 40, 80, 160, 160),
  evaluation: { outcome: 'not-fired', atMs: nowMs, reasons: ['not-breached', 'not-breached'] },
});
const cast: AppState[] = castOf(5).map((part) => ({ ...spike, actor: part.actor }));
const full = demoState({
  apps: cast,
  scalings: Array.from({ length: 12 }, (_, i) => scaling({ atMs: startedMs + i * 1000 })),
  scaledOut: 12,
});

/** As a terminal shows it. */
const visible = (line: string) => line.replace(/\x1b\[\d+m/g, '');

test('a line per app tells name, instances, metric, value, limits, recent values and decision', () => {
  const lines = renderScreen(demoState({ apps: [spike] }), usual, plainLook);
  expect(lines.slice(1, 7)).toEqual([
    'It is running.',
    '',
    'app        instances metric       value   limits recently   last decision',
    'spike      2 (1-10)  throughput   160 rps 20-80       ▁▃▅██ breached 2 of 5 s',
    '',
    'Above its limits for 5 s an app gets one instance more, below for 5 s one less.',
  ]);
  expect(lines[0]).toMatch(/^Eventgenerator demo {20,}\d\d:\d\d:20 {2}20 s \(at most 120 s\)$/);
});

test('says what is going on while there are no apps yet', () => {
  const lines = renderScreen(demoState({ activity: 'Starting PostgreSQL' }), usual, plainLook);
  expect(lines).toEqual([expect.stringContaining('Eventgenerator demo'), 'Starting PostgreSQL']);
});

test('says what is wrong instead of what is going on', () => {
  const lines = renderScreen(demoState({ trouble: 'No values come.' }), usual, plainLook);
  expect(lines[1]).toBe('No values come.');
});

test('names the goal, unless it goes on', () => {
  const state = demoState({ apps: [spike], scaledIn: 1 });
  expect(renderScreen(state, usual, plainLook)).toContain(
    'So far apps were scaled out 0 times, in once. The demo ends after one of each.',
  );
  const endless = { ...state };
  delete endless.timeoutSecs;
  const lines = renderScreen(endless, usual, plainLook);
  expect(lines).toContain('So far apps were scaled out 0 times, in once.');
  expect(lines[0]).toContain('(Ctrl-C ends it)');
});

test('the newest scalings are told below the table', () => {
  const lines = renderScreen(full, usual, plainLook);
  expect(lines.at(-1)).toBe(' 11.0 s  spike scaled out: 2 → 3 instances, throughput > 80 rps for 5 s');
});

test('in 80 columns nothing of the table is cut off', () => {
  const [titles, ...rows] = renderScreen(full, usual, plainLook).slice(3, 10);
  expect(titles).not.toContain('…');
  expect(rows.join('\n')).not.toContain('…');
});

test.each([120, 80])('a terminal of %d columns and 24 rows tells the stories', (columns) => {
  const text = renderScreen(full, { columns, rows: 24 }, plainLook).join(' ');
  for (const { actor: some } of castOf(5)) expect(text).toContain(some.plot);
});

test('where rows are few, news go before stories', () => {
  const lines = renderScreen(full, { columns: 80, rows: 17 }, plainLook);
  expect(lines.join(' ')).not.toContain(actor.plot);
  expect(lines.at(-1)).toContain(' 11.0 s  spike scaled out');
});

describe.each([true, false])('with colours: %s', (colours) => {
  test.each([20, 30, 40, 50, 60, 70, 79, 80, 100, 120, 132, 200])('fits %d columns', (columns) => {
    for (const rows of [1, 5, 12, 24, 60]) {
      const lines = renderScreen(full, { columns, rows }, { colours, unicode: true });
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) expect(visible(line).length).toBeLessThanOrEqual(columns);
    }
  });
});

test('colours tell above from below, and what has just been scaled', () => {
  const state = demoState({
    apps: [
      appState({ points: pointsUntil(nowMs, 10, 50, 160) }),
      appState({ actor: { ...actor, name: 'decay' }, trigger: triggerRecord(nowMs - 1000) }),
    ],
  });
  const [spikeLine, decayLine] = renderScreen(state, usual, { colours: true, unicode: true }).slice(4, 6);
  expect(spikeLine).toContain('\x1b[33m160 rps\x1b[0m');
  expect(spikeLine).toContain('\x1b[36m▁\x1b[0m▃\x1b[33m█\x1b[0m');
  expect(decayLine).toContain('\x1b[32m2 (1-10) \x1b[0m');
});

test('a gap among the values is neither high nor low', () => {
  const apps = [appState({ points: pointsUntil(nowMs, 0, null, 120) })];
  expect(renderScreen(demoState({ apps }), usual, plainLook)[4]).toContain(' ▁·█ ');
  expect(renderScreen(demoState({ apps }), usual, { ...plainLook, unicode: false })[4]).toContain(' _?# ');
});

test('without UTF-8 everything is ASCII', () => {
  const lines = renderScreen(full, { columns: 60, rows: 24 }, { colours: false, unicode: false });
  expect(lines.join('')).toMatch(/^[\x20-\x7e]*$/);
});

test.each([
  [{}, true],
  [{ LANG: 'de_DE.UTF-8' }, true],
  [{ LANG: 'C.utf8' }, true],
  [{ LANG: 'en_US.UTF-8', LC_ALL: 'C' }, false],
  [{ LC_CTYPE: 'de_DE.ISO-8859-1' }, false],
])('the locale %j has block characters: %s', (env, expected) => {
  expect(hasUnicode(env)).toBe(expected);
});

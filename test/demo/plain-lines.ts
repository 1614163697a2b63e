import type { AppState, DemoState } from './app-state.js';
import { decisionText } from './decision-text.js';
import { instancesText, limitsText, sinceStart, valueText } from './texts.js';

/** Without escape sequences, for files, pipes and simple terminals: a line for everything that is new since `before`. */
export function plainLines(before: DemoState | undefined, now: DemoState): string[] {
  const lines: string[] = [];
  if (now.activity !== before?.activity) lines.push(now.activity);
  if (now.trouble !== undefined && now.trouble !== before?.trouble) lines.push(now.trouble);
  for (const app of now.apps) {
    const known = before?.apps.find(({ actor }) => actor.guid === app.actor.guid);
    if (isNew(known, app, now.nowMs)) lines.push(appLine(app, now.nowMs));
  }
  return lines.map((line) => `${sinceStart(now, now.nowMs).padStart(7)}  ${line}`);
}

/** Values change all the time: they are shown when something else does. */
function isNew(known: AppState | undefined, app: AppState, nowMs: number): boolean {
  if (!app.evaluation || app.points.length === 0) return false;
  if (!known?.evaluation || known.points.length === 0 || known.instances !== app.instances) return true;
  return decisionText(known, nowMs).kind !== decisionText(app, nowMs).kind;
}

function appLine(app: AppState, nowMs: number): string {
  return [
    app.actor.name.padEnd(10),
    instancesText(app).padEnd(9),
    app.actor.metricType.padEnd(12),
    valueText(app).padEnd(8),
    `(${limitsText(app)})`.padEnd(8),
    decisionText(app, nowMs).text,
  ].join(' ');
}

import { expect, test } from '@jest/globals';
import type { AppState } from './app-state.js';
import { decisionText } from './decision-text.js';
import { appState, pointsUntil, startedMs, triggerRecord } from './examples.js';
import type { Evaluation } from './log-lines.js';

const nowMs = startedMs + 20_000;
const fired: Evaluation = { outcome: 'fired', atMs: nowMs, adjustment: '+1' };
const held = (reason: string, untilMs?: number): Evaluation => ({
  outcome: 'held',
  atMs: nowMs,
  reason,
  ...(untilMs === undefined ? {} : { untilMs }),
});
const notFired = (...reasons: string[]): Evaluation => ({ outcome: 'not-fired', atMs: nowMs, reasons });
const quiet = notFired('not-breached', 'not-breached');

test.each<[string, Partial<AppState>]>([
  ['not evaluated yet', {}],
  ['kept: within limits', { evaluation: quiet, points: pointsUntil(nowMs, 90, 50) }],
  ['kept: too few values', { evaluation: notFired('not-breached', 'not-enough-samples') }],
  ['kept: no data', { evaluation: notFired('no-data', 'no-data'), points: pointsUntil(nowMs, null) }],
  ['breached 3 of 5 s', { evaluation: quiet, points: pointsUntil(nowMs, 50, 90, 90, 90) }],
  ['breached 2 of 5 s', { evaluation: quiet, points: pointsUntil(nowMs, 90, 10, 10) }],
  ['breached 5 of 5 s', { evaluation: quiet, points: pointsUntil(nowMs, 50, 9, 9, 9, 9, 9, 9, 9) }],
  ['asks for +1', { evaluation: fired }],
  ['asks for +1', { evaluation: fired, trigger: triggerRecord(nowMs - 9000) }],
  ['scaled from 2 to 3', { evaluation: fired, trigger: triggerRecord(nowMs + 5) }],
  [
    'kept: at its maximum',
    { evaluation: fired, instances: 10, trigger: triggerRecord(nowMs, { result: 'ignored' }) },
  ],
  ['asked: no-app', { evaluation: fired, trigger: triggerRecord(nowMs, { result: 'no-app' }) }],
  ['kept: at its maximum', { evaluation: held('at-limit-backoff'), instances: 10 }],
  ['kept: at its minimum', { evaluation: held('at-limit-backoff'), instances: 1 }],
  ['kept: was ignored', { evaluation: held('at-limit-backoff'), instances: 5 }],
  ['cool-down, 10 s left', { evaluation: held('cooling-down', nowMs + 9300) }],
  ['cool-down, 0 s left', { evaluation: held('cooling-down', nowMs - 300) }],
  ['cool-down', { evaluation: held('cooling-down') }],
  ['asked a moment ago', { evaluation: held('posted-recently', nowMs + 300) }],
  ['waits: breaker open', { evaluation: held('breaker-open', nowMs + 300) }],
])('says "%s"', (text, app) => {
  const decision = decisionText(appState(app), nowMs);
  expect(decision.text).toBe(text);
  expect(text.length).toBeLessThanOrEqual(20);
});

test('a countdown goes on without anything new being decided', () => {
  const coolingDown = appState({ evaluation: held('cooling-down', nowMs + 9000) });
  const kindAt = (app: AppState, atMs: number) => decisionText(app, atMs).kind;
  expect(kindAt(coolingDown, nowMs)).toBe(kindAt(coolingDown, nowMs + 3000));
  const breached = appState({ evaluation: quiet, points: pointsUntil(nowMs, 50, 90) });
  expect(kindAt(breached, nowMs)).toBe(kindAt(breached, nowMs + 1000));
  const below = appState({ evaluation: quiet, points: pointsUntil(nowMs, 50, 10) });
  expect(kindAt(below, nowMs)).not.toBe(kindAt(breached, nowMs));
});

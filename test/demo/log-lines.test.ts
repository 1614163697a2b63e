import { expect, test } from '@jest/globals';
import { parseLogLine, readableLogLine } from '../../src/cli/readable-log-line.js';
import { evaluationIn } from './log-lines.js';

const atMs = Date.UTC(2026, 0, 2, 12, 0, 0, 250);

function line(message: string, data: object = {}, level = 'debug'): string {
  return JSON.stringify({
    timestamp: '2026-01-02T12:00:00.250000000Z',
    level,
    source: 'eventgenerator',
    message,
    data,
  });
}

function evaluationOf(data: object) {
  const parsed = parseLogLine(line('eventgenerator.evaluation.evaluated', data));
  return parsed && evaluationIn(parsed);
}

test('reads what was decided about an app', () => {
  expect(evaluationOf({ appId: 'a', outcome: 'fired', metricType: 'cpu', adjustment: '+1' })).toEqual({
    appId: 'a',
    evaluation: { outcome: 'fired', atMs, adjustment: '+1' },
  });
  expect(evaluationOf({ appId: 'a', outcome: 'held', reason: 'cooling-down', untilMs: 5 })).toEqual({
    appId: 'a',
    evaluation: { outcome: 'held', atMs, reason: 'cooling-down', untilMs: 5 },
  });
  expect(evaluationOf({ appId: 'a', outcome: 'held', reason: 'lease-lost' })?.evaluation).toEqual({
    outcome: 'held',
    atMs,
    reason: 'lease-lost',
  });
  expect(evaluationOf({ appId: 'a', outcome: 'not-fired', reasons: ['no-data'] })?.evaluation).toEqual({
    outcome: 'not-fired',
    atMs,
    reasons: ['no-data'],
  });
});

test('other lines are about something else', () => {
  expect(evaluationOf({ outcome: 'fired' })).toBeUndefined();
  expect(evaluationOf({ appId: 'a', outcome: 'postponed' })).toBeUndefined();
  const started = parseLogLine(line('eventgenerator.started', { version: '1' }));
  expect(started).toMatchObject({ event: 'started', data: { version: '1' } });
  expect(started && evaluationIn(started)).toBeUndefined();
});

test.each(['', 'Error: boom', '[1]', 'null', '{"level":"info"}'])('%j is no line of the log', (text) => {
  expect(parseLogLine(text)).toBeUndefined();
  expect(readableLogLine(text)).toBe(text);
});

test('is readable for people: no braces, no stack', () => {
  const data = { appId: 'a', error: 'refused', trace: 'Error: refused\n at x' };
  expect(readableLogLine(line('eventgenerator.round-failed', data, 'error'))).toBe(
    '12:00:00 error round-failed - refused appId="a"',
  );
});

test('a line that is far too long is cut', () => {
  expect(readableLogLine('x'.repeat(10_000))).toHaveLength(401);
});

import { expect, test } from '@jest/globals';
import { decisionsJson, decisionsTable } from '../../src/cli/decisions-command.js';
import { listedDecision } from '../../src/decisions/listed-decision.js';
import { atMs, knowledgeOf } from '../explanation/examples.js';

const row = { ...knowledgeOf({ code: 'not-collected' }), appId: 'guid-1' };
const failures = [{ metricType: 'cpu', failure: 'timeout', message: 'no answer', sinceMs: 1 }];

test('apps of one reason are shown as a table', () => {
  const listed = listedDecision({ ...row, failures });
  expect(decisionsTable([listed, { ...listed, appId: 'b', untilMs: atMs, detail: 'x\u001b' }], atMs)).toBe(
    [
      'APP     SINCE     UNTIL     OWNER  DETAIL',
      'guid-1  22:12:20  -         0      cpu: timeout: no answer',
      'b       22:12:20  22:13:20  0      x?',
      '',
    ].join('\n'),
  );
  expect(decisionsTable([], atMs)).toBe('no apps\n');
});

test('a table of as many apps as are listed at most says that there may be more', () => {
  const listed = listedDecision(row);
  const lastLine = (apps: number) => decisionsTable(Array(apps).fill(listed), atMs).split('\n').at(-2);
  expect(lastLine(9_999)).toMatch(/^guid-1 /);
  expect(lastLine(10_000)).toBe('There may be more: 10000 are listed.');
});

test('so does JSON', () => {
  const listed = listedDecision(row);
  const json = (apps: number) =>
    JSON.parse(decisionsJson(Array(apps).fill(listed))) as { may_be_more: boolean };
  expect(json(2)).toMatchObject({ may_be_more: false, apps: [{ app_id: 'guid-1' }, { app_id: 'guid-1' }] });
  expect(json(10_000)).toMatchObject({ may_be_more: true });
});

test('a detail belongs to the code', () => {
  const lastTrigger = {
    atMs,
    rule: 1,
    adjustment: '+1',
    direction: 'out',
    result: 'rejected',
    message: 'answered 422',
  } as const;
  const other = { ...row, failures, lastTrigger };
  const behind = (scope: 'app' | 'all') =>
    listedDecision({ ...other, code: 'breaker-open', breakers: [{ scope, sinceMs: 1, untilMs: 2 }] }).detail;
  expect(behind('app')).toBe('answered 422');
  // Other apps' triggers opened it.
  expect(behind('all')).toBe('');
  expect(listedDecision({ ...other, code: 'not-breached' }).detail).toBe('');
});

import { describe, expect, test } from '@jest/globals';
import { parseHistoryRange } from '../../src/http/history-query.js';

const now = 1_755_700_000_000_000_000n;

test('everything is optional: from the beginning until now, oldest first', () => {
  expect(parseHistoryRange({}, now)).toEqual({ startNs: 0n, endNs: now, order: 'ASC' });
});

test('what the API server always sends', () => {
  expect(parseHistoryRange({ start: '0', end: '-1', order: 'DESC' }, now)).toEqual({
    startNs: 0n,
    endNs: now,
    order: 'DESC',
  });
});

test.each([
  ['+5', 5n],
  ['-5', -5n],
  ['-0', 0n],
  ['007', 7n],
  ['9223372036854775807', 9223372036854775807n],
  ['-9223372036854775808', -9223372036854775808n],
])('start=%s is valid', (start, startNs) => {
  expect(parseHistoryRange({ start }, now)).toMatchObject({ startNs });
});

test.each(['-1', '-2', '-9223372036854775808'])('end=%s means now, as in Go', (end) => {
  expect(parseHistoryRange({ end }, now)).toMatchObject({ endNs: now });
});

test('an end of 0 is the epoch', () => {
  expect(parseHistoryRange({ end: '-0' }, now)).toMatchObject({ endNs: 0n });
});

test.each(['asc', 'Desc', 'DESC', 'ASC'])('order=%s is valid', (order) => {
  expect(parseHistoryRange({ order }, now)).toMatchObject({ order: order.toUpperCase() });
});

describe('rejections', () => {
  const badTimes = [
    '',
    'abc',
    '1.5',
    '1e3',
    '0x10',
    '9223372036854775808',
    '-9223372036854775809',
    ' 5',
    '5 ',
    '+-5',
    '+',
    '１',
  ];
  test.each(badTimes)('start=%p', (start) => {
    expect(parseHistoryRange({ start }, now)).toEqual({ rejection: 'Error parsing start time' });
  });
  test.each(badTimes)('end=%p', (end) => {
    expect(parseHistoryRange({ end }, now)).toEqual({ rejection: 'Error parsing end time' });
  });
  test.each(['', 'up', 'ASC ', 'ASC,DESC'])('order=%p', (order) => {
    expect(parseHistoryRange({ order }, now)).toEqual({
      rejection: 'Incorrect order parameter in query string, the value can only be ASC or DESC',
    });
  });
  test.each(['start', 'end', 'order'])('%s given twice', (name) => {
    expect(parseHistoryRange({ [name]: ['1', '1'] }, now)).toEqual({
      rejection: `Incorrect ${name} parameter in query string`,
    });
  });
  test('the first fault is named, as in Go: start, end, order', () => {
    const bad = { start: 'x', end: ['1', '2'], order: 'up' };
    expect(parseHistoryRange(bad, now)).toEqual({ rejection: 'Error parsing start time' });
    expect(parseHistoryRange({ ...bad, start: '1' }, now)).toEqual({
      rejection: 'Incorrect end parameter in query string',
    });
  });
});

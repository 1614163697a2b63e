import { expect, test } from '@jest/globals';
import { helpText, parseOptions, UsageError } from './options.js';

test('everything has a default', () => {
  expect(parseOptions([])).toEqual({ json: false, keep: false, timeoutSecs: 120, breachDurationSecs: 5 });
});

test('all options together', () => {
  expect(parseOptions(['--json', '--keep', '--timeout', '30', '--breach-duration=10'])).toEqual({
    json: true,
    keep: true,
    timeoutSecs: 30,
    breachDurationSecs: 10,
  });
});

test.each([['--help'], ['-h']])('%s asks for help', (arg) => {
  expect(parseOptions([arg])).toBe('help');
});

test('the help names every option and fits a terminal', () => {
  for (const option of ['--json', '--keep', '--timeout', '--breach-duration', '--help'])
    expect(helpText).toContain(option);
  expect(Math.max(...helpText.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
});

test.each([
  [['--timeout', '0'], '--timeout must be a whole number of seconds from 1 to 3600, not "0"'],
  [['--timeout', '1.5'], 'not "1.5"'],
  [['--timeout', '1e2'], 'not "1e2"'],
  [['--timeout='], 'not ""'],
  [['--timeout'], "'--timeout <value>' argument missing"],
  [['--breach-duration', '11'], 'from 2 to 10'],
  [['--jsn'], "Unknown option '--jsn'"],
  [['now'], 'now'],
])('%j is refused with one line', (args, message) => {
  expect(() => parseOptions(args)).toThrow(UsageError);
  expect(() => parseOptions(args)).toThrow(message);
  expect(() => parseOptions(args)).not.toThrow('\n');
});

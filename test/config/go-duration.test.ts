import { expect, test } from '@jest/globals';
import { goDurationMs, parseGoDuration } from '../../src/config/go-duration.js';

test.each([
  ['0', 0n],
  ['+0', 0n],
  ['-0', 0n],
  ['0s', 0n],
  ['40s', 40_000_000_000n],
  ['1m30s', 90_000_000_000n],
  ['2h0m0s', 7_200_000_000_000n],
  ['500ms', 500_000_000n],
  ['1.5h', 5_400_000_000_000n],
  ['.5s', 500_000_000n],
  ['1.s', 1_000_000_000n],
  ['-1.5s', -1_500_000_000n],
  ['+3s', 3_000_000_000n],
  ['7ns', 7n],
  ['7us', 7_000n],
  ['7µs', 7_000n],
  ['7μs', 7_000n],
  ['1h1h', 7_200_000_000_000n],
  ['0.9999ns', 0n],
  ['9223372036854775807ns', 9223372036854775807n],
  ['-9223372036854775808ns', -9223372036854775808n],
  ['2562047h47m16.854775807s', 9223372036854775807n],
])('%s is %d ns', (text, nanoseconds) => {
  expect(parseGoDuration(text)).toBe(nanoseconds);
});

test.each([
  '',
  '-',
  '+',
  '.',
  's',
  '.s',
  '40',
  '10k',
  '1d',
  '1 s',
  ' 1s',
  '1s ',
  '1S',
  '--1s',
  '1e3s',
  '1m-30s',
  '0x1s',
  '9223372036854775808ns',
  '2562047h47m16.854775808s',
  '1'.repeat(1_000_000) + 'h',
])('%.30s is no duration', (text) => {
  expect(parseGoDuration(text)).toBeUndefined();
});

test('a duration in milliseconds keeps what is shorter than one', () => {
  expect(goDurationMs('1m30s')).toBe(90_000);
  expect(goDurationMs('1500us')).toBe(1.5);
  expect(() => goDurationMs('soon')).toThrow(TypeError);
});

import { beforeEach, expect, test } from '@jest/globals';
import type { SettledWindow } from '../../../src/collection/pool/job.js';
import { SettledWindows } from '../../../src/collection/plan/settled-windows.js';

const second = 1_000_000_000n;
const began = 1_755_700_000n * second;
let windows: SettledWindows;
beforeEach(() => {
  windows = new SettledWindows();
});

function windowAt(secs: bigint, appId = 'a', gaugeTypes: readonly string[] = ['cpu']) {
  const endNs = began + secs * second;
  return { appId, gaugeTypes, startNs: endNs - 120n * second, endNs };
}

function settledAt(secs: bigint, bytes = 3): SettledWindow {
  return { untilNs: began + (secs - 20n) * second, rows: 'x'.repeat(bytes), units: [''], streams: 0 };
}

/** One cycle; says whether it could go on from the one before. */
function cycle(secs: bigint, appId = 'a', gaugeTypes?: readonly string[]): boolean {
  const window = windowAt(secs, appId, gaugeTypes);
  const found = windows.of(window) !== null;
  windows.keep(window, settledAt(secs));
  return found;
}

test('what one cycle has settled is there for the next', () => {
  const settled = settledAt(0n);
  windows.keep(windowAt(0n), settled);
  expect(windows.of(windowAt(40n))).toBe(settled);
  expect(windows.of(windowAt(40n, 'b'))).toBeNull();
});

test('a cycle that fails leaves it as it is', () => {
  windows.keep(windowAt(0n), settledAt(0n));
  expect(windows.of(windowAt(40n))).not.toBeNull();
  expect(windows.of(windowAt(80n))).not.toBeNull();
});

test('a cycle that settled nothing leaves nothing', () => {
  windows.keep(windowAt(0n), settledAt(0n));
  windows.keep(windowAt(40n), null);
  expect(windows.of(windowAt(80n))).toBeNull();
  expect(windows.size).toBe(0);
});

test.each([
  ['the gauge types changed', windowAt(40n, 'a', ['cpu', 'jobs'])],
  ['the gauge types changed places', windowAt(40n, 'a', ['memoryused'])],
  ['the gap is as long as the window', windowAt(100n)],
  ['the clock went back', windowAt(-1n)],
])('the whole window is read when %s', (_why, window) => {
  windows.keep(windowAt(0n), settledAt(0n));
  expect(windows.of(window)).toBeNull();
});

test('every app reads its whole window once in 30 cycles, and not all of them in the same', () => {
  const apps = Array.from({ length: 300 }, (_, i) => `app-${i}`);
  const fullReads = apps.map((appId) => {
    const cycles: number[] = [];
    for (let n = 0; n < 91; n++) if (!cycle(BigInt(n) * 40n, appId)) cycles.push(n);
    return cycles.slice(1);
  });
  for (const [first = 0, ...later] of fullReads) {
    expect(later[0]).toBe(first + 30);
    if (later[1] !== undefined) expect(later[1]).toBe(first + 60);
  }
  const inRound = (n: number) => fullReads.filter(([first]) => first === n).length;
  for (let n = 1; n <= 30; n++) expect(inRound(n)).toBeLessThan(30);
});

test('an app that is gone is forgotten when its window has passed', () => {
  cycle(0n, 'gone');
  for (let n = 0n; n <= 4n; n++) cycle(1n + n * 40n, 'stays');
  expect(windows.size).toBe(1);
});

test('there is a bound, and what finds no room reads its whole window', () => {
  windows = new SettledWindows(4_000);
  for (let i = 0; i < 100; i++) windows.keep(windowAt(0n, `app-${i}`), settledAt(0n, 50));
  expect(windows.size).toBe(10);
  expect(windows.of(windowAt(40n, 'app-9'))).not.toBeNull();
  expect(windows.of(windowAt(40n, 'app-10'))).toBeNull();
  windows.keep(windowAt(40n, 'app-9'), settledAt(40n, 51));
  expect(windows.size).toBe(9);
  windows.keep(windowAt(40n, 'app-8'), settledAt(40n, 900));
  expect(windows.size).toBe(8);
});

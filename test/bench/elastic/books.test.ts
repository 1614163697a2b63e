import { expect, test } from '@jest/globals';
import type { NotedTrigger } from './messages.js';
import { movedShare, CyclesBook } from './cycles-book.js';
import { TriggersBook } from './triggers-book.js';

/** Cycles as [app, member, atMs]. */
function bookOf(apps: number, ...cycles: [app: number, member: number, atMs: number][]): CyclesBook {
  const book = new CyclesBook(apps);
  book.add({
    apps: Uint16Array.from(cycles, ([app]) => app),
    members: Uint8Array.from(cycles, ([, member]) => member),
    atMs: Float64Array.from(cycles, ([, , atMs]) => atMs),
  });
  return book;
}

test('a gap is as long as nobody collected the app, also where it began before or never ends', () => {
  const book = bookOf(2, [0, 1, 100], [1, 1, 110], [0, 1, 500], [1, 2, 1200], [0, 2, 1300]);
  expect(book.longestGap({ fromMs: 400, toMs: 1300 })).toMatchObject({ app: 1, ms: 1090 });
  expect(book.longestGap({ fromMs: 400, toMs: 600 })).toMatchObject({ app: 1, ms: 490 });
  expect(book.longestGap({ fromMs: 1250, toMs: 5000 })).toMatchObject({ app: 1, ms: 3800, after: undefined });
  expect(bookOf(1).longestGap({ fromMs: 0, toMs: 70 })).toMatchObject({ app: 0, ms: 70, before: undefined });
});

test('a cycle is done twice when another member did it shortly before', () => {
  const book = bookOf(1, [0, 1, 1000], [0, 2, 1100], [0, 2, 3200], [0, 2, 3300], [0, 1, 7000]);
  const span = { fromMs: 0, toMs: 10_000 };
  expect(book.doneTwice(span, 2000)).toBe(1);
  expect(book.doneTwice({ ...span, fromMs: 1050 }, 2000)).toBe(1);
  expect(book.doneTwice({ ...span, fromMs: 1150 }, 2000)).toBe(0);
  expect(book.doneTwice(span, 2000, ({ member }) => member === 1)).toBe(0);
  expect(book.doneTwice(span, 5000)).toBe(4);
});

test('owners are who collected last, and what moved has another owner', () => {
  const book = bookOf(3, [0, 1, 10], [1, 1, 20], [1, 2, 60]);
  const before = book.ownersAt(50);
  expect(before).toEqual([1, 1, undefined]);
  expect(movedShare(before, book.ownersAt(60))).toBeCloseTo(1 / 3);
});

test('each app is collected by its owner again when the last of them has been', () => {
  const book = bookOf(2, [0, 1, 10], [1, 1, 20], [0, 2, 110], [1, 1, 120], [1, 2, 150], [0, 2, 210]);
  expect(book.collectedByOwnerMs({ fromMs: 100, toMs: 300 })).toBe(50);
});

test('settled means that every app was collected twice, by one of the members each, and all took part', () => {
  const book = bookOf(2, [0, 1, 10], [1, 2, 20], [0, 1, 110], [1, 2, 120], [1, 1, 220]);
  expect(book.isSettled({ fromMs: 0, toMs: 200 }, new Set([1, 2]))).toBe(true);
  expect(book.isSettled({ fromMs: 0, toMs: 115 }, new Set([1, 2]))).toBe(false);
  expect(book.isSettled({ fromMs: 0, toMs: 300 }, new Set([1, 2]))).toBe(false);
  expect(book.isSettled({ fromMs: 0, toMs: 200 }, new Set([1, 2, 3]))).toBe(false);
});

test('a trigger is posted twice within the interval, or while the cool-down of the one before runs', () => {
  const book = new TriggersBook();
  const trigger = (app: number, atMs: number, coolDownUntilMs: number): NotedTrigger => ({
    app,
    member: 1,
    atMs,
    coolDownUntilMs,
  });
  book.add([trigger(0, 100, 1100), trigger(0, 1100, 1100), trigger(0, 1150, 1150), trigger(1, 1150, 9000)]);
  book.add([trigger(1, 8999, 10_000)]);
  const twice = book.postedTwice({ fromMs: 0, toMs: 10_000 }, 200);
  expect(twice.map(({ again }) => [again.app, again.atMs])).toEqual([
    [0, 1150],
    [1, 8999],
  ]);
  expect(book.postedTwice({ fromMs: 1200, toMs: 10_000 }, 200)).toHaveLength(1);
  expect(book.firstOf(0, 200)?.atMs).toBe(1100);
});

import { beforeEach, describe, expect, test } from '@jest/globals';
import { noCost } from '../../../src/collection/pool/cost.js';
import { type ReadPage, readPages } from '../../../src/collection/worker/read-pages.js';
import { ManualClock } from '../../support/manual-clock.js';

const window = { startNs: 100n, endNs: 1_000n };
const limit = 3;
type Timestamps = readonly (bigint | number)[];

let clock: ManualClock;
/** Ends of the parts that were asked for. */
let ends: bigint[];
beforeEach(() => {
  clock = new ManualClock();
  ends = [];
});

/** Reads the window from a log-cache that sends these pages; resolves with the timestamps taken. */
async function read(
  pageAt: (page: number) => Timestamps | Promise<Timestamps>,
  wantsMore = () => true,
): Promise<string[]> {
  const taken: string[] = [];
  const pages: ReadPage<{ timestamp: string }> = async (part, take) => {
    ends.push(part.endNs);
    const envelopes = (await pageAt(ends.length - 1)).map((timestamp) => ({ timestamp: String(timestamp) }));
    return take({ envelopes, bytes: 1 });
  };
  await readPages(window, limit, { clock, cost: noCost() }, pages, (page) => {
    taken.push(...page.map(({ timestamp }) => timestamp));
    return wantsMore();
  });
  return taken;
}

const pagesOf =
  (...pages: Timestamps[]) =>
  (page: number) =>
    pages[page] ?? [];

describe('the window is complete', () => {
  test('with a page that is one shorter than the limit', async () => {
    expect(await read(pagesOf([999, 500]))).toEqual(['999', '500']);
    expect(ends).toEqual([1_000n]);
  });

  test.each<[string, Timestamps]>([
    ['the limit', [999, 600, 500]],
    ['more than the limit', [999, 600, 500, 500]],
    ['the limit, all at one time', [500, 500, 500]],
  ])('not with a page of %s: the next one ends where it began', async (_name, page) => {
    await read(pagesOf(page, [400]));
    expect(ends).toEqual([1_000n, 500n]);
  });

  test('with a full page that reaches the start of the window', async () => {
    await read(pagesOf([300, 200, 100]));
    expect(ends).toEqual([1_000n]);
  });

  test('not yet with a full page that reaches one nanosecond less far', async () => {
    await read(pagesOf([300, 200, 101]));
    expect(ends).toEqual([1_000n, 101n]);
  });

  test('for a reader that has what it wants', async () => {
    expect(await read(pagesOf([999, 600, 500], [400]), () => false)).toHaveLength(3);
    expect(ends).toHaveLength(1);
  });
});

describe('an envelope', () => {
  test('at the start of the window, or right before its end, belongs to it', async () => {
    expect(await read(pagesOf([999, 100]))).toEqual(['999', '100']);
  });

  test.each([1_000n, 99n])('at %p does not, and makes the read fail', async (timestamp) => {
    await expect(read(pagesOf([timestamp]))).rejects.toMatchObject({ kind: 'bad-answer' });
  });

  test('of the page before, sent once more, makes the read fail: paging would never end', async () => {
    await expect(read(() => [999, 600, 500])).rejects.toMatchObject({ kind: 'bad-answer' });
    expect(ends).toHaveLength(2);
  });
});

test('a full page must be newest first, a last page need not', async () => {
  await expect(read(pagesOf([500, 600, 700]))).rejects.toMatchObject({ kind: 'bad-answer' });
  expect(await read(() => [600, 700])).toHaveLength(2);
});

describe('bounds', () => {
  const full = (page: number): Timestamps => Array.from({ length: limit }, () => 999 - page);

  test('a window of 200 pages is read, a larger one fails', async () => {
    await read((page) => (page < 199 ? full(page) : []));
    expect(ends).toHaveLength(200);
    ends = [];
    await expect(read(full)).rejects.toMatchObject({ kind: 'bad-answer', message: /200 pages/ });
    expect(ends).toHaveLength(200);
  });

  test('a page is asked for until a minute has passed', async () => {
    const secondPageAfter = (ms: number) =>
      read(async (page) => {
        await clock.advance(page === 0 ? ms : 0);
        return page === 0 ? full(page) : [];
      });
    await secondPageAfter(60_000);
    expect(ends).toHaveLength(2);
    ends = [];
    await expect(secondPageAfter(60_001)).rejects.toMatchObject({ kind: 'timeout' });
  });
});

import { expect, test } from '@jest/globals';
import { createReaderShare } from '../../src/history/reader-share.js';
import { ManualClock } from '../support/manual-clock.js';

async function* batches(query: string): AsyncGenerator<string> {
  yield `${query} 1`;
  yield `${query} 2`;
}

function begin(read: (query: string) => AsyncIterable<string>, query: string) {
  const reading = read(query)[Symbol.asyncIterator]();
  return { first: reading.next(), reading };
}

test('as many as may be read at once; the next gets the place of the one that ends', async () => {
  const clock = new ManualClock();
  const read = createReaderShare(2, clock, batches);
  const [a, b, c] = ['a', 'b', 'c'].map((query) => begin(read, query));
  expect((await a?.first)?.value).toBe('a 1');
  expect((await b?.first)?.value).toBe('b 1');
  expect(clock.pendingTimers).toBe(1);
  await b?.reading.return?.();
  expect((await c?.first)?.value).toBe('c 1');
  expect(clock.pendingTimers).toBe(0);
});

test('who waits too long is refused, and a place is not lost by that', async () => {
  const clock = new ManualClock();
  const read = createReaderShare(1, clock, batches);
  const slow = begin(read, 'slow');
  await slow.first;
  const late = begin(read, 'late');
  const refused = expect(late.first).rejects.toThrow('1 histories are being read');
  await clock.advance(5_000);
  await refused;
  await slow.reading.return?.();
  expect((await begin(read, 'next').first).value).toBe('next 1');
});

test('a reader that fails gives its place back', async () => {
  const read = createReaderShare(1, new ManualClock(), (query: string) => {
    if (query === 'bad') throw new Error('no database');
    return batches(query);
  });
  await expect(begin(read, 'bad').first).rejects.toThrow('no database');
  expect((await begin(read, 'good').first).value).toBe('good 1');
});

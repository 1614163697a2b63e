import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseTimeoutError } from '../../src/database/errors.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import { row, rows, saveIntervalMs, WriterScene } from './writer-scene.js';

let scene: WriterScene;
beforeEach(() => void (scene = new WriterScene()));
afterEach(() => scene.end());

const numbers = (list: readonly AppMetric[]) => list.map((entry) => Number(entry.timestampNs));
const away = () => Promise.reject(new DatabaseTimeoutError('appmetrics_db did not answer'));

describe('saving', () => {
  test('once per interval, all that waits', async () => {
    const calls: number[] = [];
    scene.insert = async (list) => void calls.push(list.length);
    scene.writer.start();
    scene.writer.start();
    scene.writer.add(rows(2));
    scene.writer.add(rows(1));
    await scene.clock.advance(saveIntervalMs - 1);
    expect(calls).toEqual([]);
    await scene.clock.advance(1);
    expect(calls).toEqual([3]);
    await scene.clock.advance(2 * saveIntervalMs);
    expect(calls).toEqual([3]);
  });

  test('large numbers go in chunks, in order', async () => {
    const calls: number[] = [];
    scene.insert = async (list) => {
      calls.push(list.length);
      scene.written.push(...list);
    };
    scene.writer.start();
    scene.writer.add(rows(22_500));
    await scene.clock.advance(saveIntervalMs);
    expect(calls).toEqual([10_000, 10_000, 2_500]);
    expect(numbers(scene.written)).toEqual(numbers(rows(22_500)));
    expect(await scene.counts()).toEqual({ buffered: 0, written: 22_500, lost: {} });
  });

  test('a database that takes few rows within its deadline gets few at a time, and all of them', async () => {
    scene.insert = async (list) => {
      if (list.length > 1_000) throw new Error('no answer');
      scene.written.push(...list);
    };
    scene.writer.start();
    scene.writer.add(rows(22_500));
    await scene.clock.advance(40 * saveIntervalMs);
    expect(numbers(scene.written)).toEqual(numbers(rows(22_500)));
    expect(await scene.counts()).toEqual({ buffered: 0, written: 22_500, lost: {} });
  });

  test('once all is written that waited in an outage, a statement has many rows again', async () => {
    const calls: number[] = [];
    scene.insert = away;
    scene.writer.start();
    scene.writer.add(rows(1_200));
    await scene.clock.advance(40 * saveIntervalMs);
    scene.insert = async (list) => void calls.push(list.length);
    await scene.clock.advance(7 * saveIntervalMs);
    scene.writer.add(rows(9_000));
    await scene.clock.advance(saveIntervalMs);
    expect(calls).toEqual([500, 500, 200, 9_000]);
  });

  test('never twice at once', async () => {
    let finish = () => {};
    let running = 0;
    scene.insert = () => {
      expect(++running).toBe(1);
      return new Promise<void>((resolve) => {
        finish = () => {
          running--;
          resolve();
        };
      });
    };
    scene.writer.start();
    scene.writer.add(rows(1));
    await scene.clock.advance(saveIntervalMs);
    scene.writer.add(rows(1));
    await scene.clock.advance(3 * saveIntervalMs);
    const flushed = scene.writer.flush(1_000);
    expect(running).toBe(1);
    expect(await scene.value('app_metric_writer_buffered_rows')).toBe(2);
    finish();
    await scene.clock.advance(0);
    finish();
    await flushed;
    expect(await scene.counts()).toEqual({ buffered: 0, written: 2, lost: {} });
  });
});

describe('while appmetrics_db is away', () => {
  test('rows wait, attempts become rarer, and nothing is lost or written twice', async () => {
    const attempts: number[] = [];
    scene.insert = () => {
      attempts.push(scene.clock.monotonic());
      return away();
    };
    scene.writer.start();
    scene.writer.add(rows(10_500));
    await scene.clock.advance(100_000);
    expect(attempts).toEqual([5_000, 15_000, 35_000, 65_000, 95_000]);
    scene.writer.add(rows(1, 10_501));
    expect(await scene.value('app_metric_writer_buffered_rows')).toBe(10_501);

    scene.insert = async (list) => void scene.written.push(...list);
    await scene.clock.advance(30_000);
    expect(numbers(scene.written)).toEqual(numbers(rows(10_501)));
    expect(scene.log).toEqual([
      ['rows-not-written', { waiting: 10_500 }],
      ['rows-written-again', { failures: 5, waiting: 10_001 }],
    ]);
    expect(await scene.counts()).toEqual({ buffered: 0, written: 10_501, lost: {} });
  });

  test('beyond the bound the oldest give way and are counted', async () => {
    scene.writer = scene.create({ maxBufferedRows: 10 });
    scene.insert = away;
    scene.writer.start();
    scene.writer.add(rows(8));
    await scene.clock.advance(saveIntervalMs);
    scene.writer.add(rows(5, 9));
    scene.writer.add(rows(1, 14));
    expect(await scene.counts()).toEqual({ buffered: 10, written: 0, lost: { buffer_full: 4 } });
    expect(scene.log.filter(([event]) => event === 'buffer-full')).toEqual([['buffer-full', { rows: 10 }]]);
    scene.insert = async (list) => void scene.written.push(...list);
    await scene.clock.advance(2 * saveIntervalMs);
    expect(numbers(scene.written)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  test('a large buffer makes room for a hundredth at once, not for every row anew', async () => {
    scene.writer = scene.create({ maxBufferedRows: 1_000 });
    scene.writer.add(rows(1_001));
    expect(await scene.counts()).toEqual({ buffered: 991, written: 0, lost: { buffer_full: 10 } });
    scene.writer.add(rows(9, 1_002));
    expect(await scene.counts()).toEqual({ buffered: 1_000, written: 0, lost: { buffer_full: 10 } });
  });
});

describe('rows that the table cannot hold', () => {
  test('a unit is cut to what the column holds; an id or type too long costs only its own row', async () => {
    scene.writer.start();
    scene.writer.add([
      row(1, { unit: 'x'.repeat(21) }),
      row(2, { unit: '\u{1F680}'.repeat(25) }),
      row(3, { unit: 'a\0b' }),
      row(4, { metricType: 'x'.repeat(101) }),
      row(5, { metricType: '\u{1F680}'.repeat(100) }),
      row(6, { appId: 'a\0' }),
      row(7),
    ]);
    await scene.clock.advance(saveIntervalMs);
    expect(scene.written.map((entry) => [Number(entry.timestampNs), entry.unit])).toEqual([
      [1, 'x'.repeat(20)],
      [2, '\u{1F680}'.repeat(20)],
      [3, 'ab'],
      [5, '%'],
      [7, '%'],
    ]);
    expect(await scene.value('app_metric_rows_lost_total')).toEqual({ rejected: 2 });
    expect(scene.log).toEqual([['row-rejected', { appId: 'app', metricType: 'x'.repeat(100) }]]);
  });

  test('the log names one in ten minutes and counts the others', async () => {
    const bad = row(1, { appId: 'x'.repeat(300) });
    scene.writer.add([bad, bad]);
    await scene.clock.advance(600_000);
    scene.writer.add([bad]);
    expect(scene.log.map(([, data]) => (data as { suppressed?: number }).suppressed)).toEqual([undefined, 1]);
  });
});

test('saves soon what apps that went to other members still bring', async () => {
  scene.writer.start();
  scene.writer.saveSoon();
  await scene.clock.advance(300);
  scene.writer.add(rows(2));
  await scene.clock.advance(200);
  expect(numbers(scene.written)).toEqual([1, 2]);
  scene.writer.saveSoon();
  await scene.writer.flush(1_000);
  expect(scene.clock.pendingTimers).toBe(0);
  scene.writer.saveSoon();
  expect(scene.clock.pendingTimers).toBe(0);
});

describe('flush', () => {
  test('waits for a save at once that is under way, and loses none of its rows', async () => {
    let answer: () => void = () => {};
    scene.insert = (batch) =>
      new Promise((resolve) => {
        answer = () => {
          scene.written.push(...batch);
          resolve();
        };
      });
    scene.writer.start();
    scene.writer.add(rows(3));
    void scene.writer.saveNow();
    await scene.clock.advance(0);
    let isFlushed = false;
    const flushed = scene.writer.flush(1_000).then(() => (isFlushed = true));
    await scene.clock.advance(500);
    expect(isFlushed).toBe(false);
    answer();
    await flushed;
    expect(numbers(scene.written)).toEqual([1, 2, 3]);
    expect((await scene.counts()).lost).toEqual({});
    expect(scene.log).toEqual([]);
  });

  test('writes what waits at the end', async () => {
    scene.writer.start();
    scene.writer.add(rows(3));
    await scene.writer.flush(1_000);
    expect(numbers(scene.written)).toEqual([1, 2, 3]);
    expect(scene.clock.pendingTimers).toBe(0);
    await scene.clock.advance(saveIntervalMs);
    scene.writer.add(rows(2));
    expect(await scene.counts()).toEqual({ buffered: 0, written: 3, lost: { shutdown: 2 } });
  });

  test('tries again until its deadline, then counts what is lost', async () => {
    let attempts = 0;
    scene.insert = () => {
      attempts++;
      return away();
    };
    scene.writer.start();
    scene.writer.add(rows(3));
    const flushed = scene.writer.flush(1_000);
    await scene.clock.advance(1_000);
    await flushed;
    expect(attempts).toBe(4);
    expect(await scene.counts()).toEqual({ buffered: 0, written: 0, lost: { shutdown: 3 } });
    expect(scene.log.map(([event]) => event)).toEqual(['rows-not-written', 'rows-lost']);
    expect(scene.clock.pendingTimers).toBe(0);
  });

  test('does not wait longer for a database that hangs', async () => {
    scene.insert = () => new Promise(() => {});
    scene.writer.start();
    scene.writer.add(rows(3));
    await scene.clock.advance(saveIntervalMs);
    const flushed = scene.writer.flush(1_000);
    await scene.clock.advance(1_000);
    await flushed;
    expect(await scene.value('app_metric_rows_lost_total')).toEqual({ shutdown: 3 });
  });
});

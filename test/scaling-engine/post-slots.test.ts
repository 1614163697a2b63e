import { expect, test } from '@jest/globals';
import { PostSlots } from '../../src/scaling-engine/post-slots.js';
import { ManualClock } from '../support/manual-clock.js';

function setUp(limit: number) {
  const clock = new ManualClock();
  const slots = new PostSlots(clock, limit);
  const served: string[] = [];
  const ask = (name: string, direction: 'out' | 'in', timeoutMs = 1000) =>
    slots.acquire(direction, timeoutMs).then((granted) => void served.push(granted ? name : `${name} late`));
  return { clock, slots, served, ask };
}

test('slots up to the limit are free at once', async () => {
  const { clock, served, ask } = setUp(2);
  await Promise.all([ask('a', 'in'), ask('b', 'out')]);
  expect(served).toEqual(['a', 'b']);
  expect(clock.pendingTimers).toBe(0);
});

test('whoever waits is served in order, scale-outs first', async () => {
  const { clock, slots, served, ask } = setUp(1);
  await ask('first', 'in');
  const waiting = [ask('in 1', 'in'), ask('out 1', 'out'), ask('in 2', 'in'), ask('out 2', 'out')];
  for (let i = 0; i < 4; i++) slots.release();
  await Promise.all(waiting);
  expect(served).toEqual(['first', 'out 1', 'out 2', 'in 1', 'in 2']);
  expect(clock.pendingTimers).toBe(0);
});

test('a wait ends at its deadline, and takes no slot with it', async () => {
  const { clock, slots, served, ask } = setUp(1);
  await ask('first', 'out');
  const waiting = ask('second', 'out', 1000);
  await clock.advance(1000);
  await waiting;
  slots.release();
  await ask('third', 'out');
  expect(served).toEqual(['first', 'second late', 'third']);
  expect(clock.pendingTimers).toBe(0);
});

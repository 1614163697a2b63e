import { expect, test } from '@jest/globals';
import { Semaphore } from '../../src/util/semaphore.js';
import { ManualClock } from '../support/manual-clock.js';

function setUp(limit: number) {
  const clock = new ManualClock();
  const allowed = { most: limit };
  const semaphore = new Semaphore(clock, () => allowed.most);
  const served: string[] = [];
  const ask = (name: string, options?: { urgent?: boolean; timeoutMs?: number }) =>
    semaphore.acquire(options).then((granted) => void served.push(granted ? name : `${name} late`));
  return { clock, allowed, semaphore, served, ask };
}

test('permits up to the limit are free at once', async () => {
  const { clock, semaphore, served, ask } = setUp(2);
  expect(semaphore.isFull).toBe(false);
  await Promise.all([ask('a', { timeoutMs: 1000 }), ask('b', { urgent: true })]);
  expect(served).toEqual(['a', 'b']);
  expect(semaphore).toMatchObject({ taken: 2, waiting: 0, isFull: true });
  expect(clock.pendingTimers).toBe(0);
});

test('waiters are served in order, urgent ones first', async () => {
  const { clock, semaphore, served, ask } = setUp(1);
  await ask('first');
  const waiting = [
    ask('in 1', { timeoutMs: 1000 }),
    ask('out 1', { urgent: true, timeoutMs: 1000 }),
    ask('in 2', { timeoutMs: 1000 }),
    ask('out 2', { urgent: true }),
  ];
  expect(semaphore.waiting).toBe(4);
  for (let i = 0; i < 4; i++) semaphore.release();
  await Promise.all(waiting);
  expect(served).toEqual(['first', 'out 1', 'out 2', 'in 1', 'in 2']);
  expect(semaphore).toMatchObject({ taken: 1, waiting: 0 });
  expect(clock.pendingTimers).toBe(0);
});

test('a wait ends at its deadline, and takes no permit with it', async () => {
  const { clock, semaphore, served, ask } = setUp(1);
  await ask('first');
  const waiting = ask('second', { timeoutMs: 1000 });
  await clock.advance(1000);
  await waiting;
  semaphore.release();
  await ask('third');
  expect(served).toEqual(['first', 'second late', 'third']);
  expect(clock.pendingTimers).toBe(0);
});

test('a limit that grows lets several in at once, one that shrinks lets none in until enough have left', async () => {
  const { allowed, semaphore, served, ask } = setUp(2);
  await Promise.all([ask('a'), ask('b')]);
  const waiting = ['c', 'd', 'e'].map((name) => ask(name));
  allowed.most = 1;
  semaphore.release();
  expect(semaphore).toMatchObject({ taken: 1, waiting: 3 });
  allowed.most = 3;
  semaphore.release();
  await Promise.all(waiting);
  expect(served).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('those that wait can be turned away', async () => {
  const { clock, semaphore, served, ask } = setUp(1);
  await ask('first');
  const waiting = [ask('a', { timeoutMs: 1000 }), ask('b', { urgent: true })];
  semaphore.turnAway();
  await Promise.all(waiting);
  expect(served.sort()).toEqual(['a late', 'b late', 'first']);
  expect(semaphore).toMatchObject({ taken: 1, waiting: 0 });
  expect(clock.pendingTimers).toBe(0);
});

import { afterEach, expect, test } from '@jest/globals';
import type { Listener } from '../../src/http/listener.js';
import { membersRoutes } from '../../src/http/members-routes.js';
import { ManualClock } from '../support/manual-clock.js';
import { askListener, testListener } from './support.js';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

test('members are read from the database once a second, however many ask', async () => {
  const clock = new ManualClock();
  const listener = testListener();
  open.push(listener);
  let reads = 0;
  const readMembers = async () => {
    if (++reads === 2) throw new Error('away');
    return [];
  };
  membersRoutes(readMembers, clock, false)(listener.app);
  const statuses = async () =>
    new Set(
      await Promise.all(
        Array.from({ length: 10 }, async () => (await askListener(listener, '/v1/members')).status),
      ),
    );
  await listener.listen('127.0.0.1');
  expect([await statuses(), reads]).toEqual([new Set([200]), 1]);
  await clock.advance(1_000);
  expect([await statuses(), reads]).toEqual([new Set([503]), 2]);
  await clock.advance(1_000);
  expect([await statuses(), reads]).toEqual([new Set([200]), 3]);
});

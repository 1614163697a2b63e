import { expect, test } from '@jest/globals';
import { createLeaseIds, memberOf } from '../../src/ownership/lease-id.js';
import {
  leaseAnswered,
  leaseFailed,
  leaseGivenBack,
  leaseLeft,
  leaseRefused,
  mayPost,
  noLease,
  ownsApp,
  stateAt,
  type Lease,
} from '../../src/ownership/lease.js';

const ids = createLeaseIds();
const leaseId = ids.next();
const apps = Array.from({ length: 50 }, (_, i) => `app-${i}`);
const held = leaseAnswered(noLease, { leaseId, startedMs: 1000, endedMs: 1500 }, [leaseId]);

test('who never had an answer owns nothing and posts nothing', () => {
  const failed = leaseFailed(noLease, { startedMs: 0, endedMs: 2000 });
  expect(failed.state).toBe('joining');
  expect(ownedAt(failed, 2000)).toBe(0);
  expect(mayPost(failed, 2000)).toBe(false);
});

test('a lease counts from the start of the attempt, a little shorter than in the database', () => {
  expect(stateAt(held, 10_799)).toBe('member');
  expect(mayPost(held, 10_799)).toBe(true);
  expect(stateAt(held, 10_800)).toBe('lost');
  expect(mayPost(held, 10_800)).toBe(false);
});

test('traps A1-33: with its lease over a member goes on collecting and posts nothing, until a renewal counts', () => {
  let lease = held;
  for (let startedMs = 3000; startedMs < 60_000; startedMs += 2000) {
    lease = leaseFailed(lease, { startedMs, endedMs: startedMs + 2000 });
  }
  expect(lease.state).toBe('lost');
  expect(ownedAt(lease, 61_000)).toBe(apps.length);
  expect(mayPost(lease, 61_000)).toBe(false);
  const next = ids.next();
  const back = leaseAnswered(lease, { leaseId: next, startedMs: 61_000, endedMs: 61_010 }, [next]);
  expect(back).toMatchObject({ state: 'member', leaseId: next });
  expect(mayPost(back, 61_010)).toBe(true);
});

test('an answer that arrives after its deadline does not extend the lease', () => {
  const late = leaseAnswered(held, { leaseId, startedMs: 3000, endedMs: 5001 }, [
    leaseId,
    createLeaseIds().next(),
  ]);
  expect(late).toEqual({ ...held, attemptedMs: 5001 });
});

test('a lease that the database does not know any more is over at once', () => {
  const refused = leaseRefused(held, 3000);
  expect(refused.state).toBe('lost');
  expect(mayPost(refused, 3000)).toBe(false);
  expect(ownedAt(refused, 3000)).toBe(apps.length);
});

test('who was frozen owns nothing until it has asked once, and then what it last owned if nobody answers', () => {
  expect(ownedAt(held, 11_500)).toBe(apps.length);
  expect(ownedAt(held, 31_500)).toBe(0);
  const frozenWhileAsking = leaseFailed(held, { startedMs: 3000, endedMs: 31_500 });
  expect(ownedAt(frozenWhileAsking, 31_500)).toBe(0);
  expect(mayPost(frozenWhileAsking, 31_500)).toBe(false);
  const askedInVain = leaseFailed(frozenWhileAsking, { startedMs: 31_500, endedMs: 33_500 });
  expect(ownedAt(askedInVain, 33_500)).toBe(apps.length);
});

test('who leaves owns and may post until the others have taken over, by the clock', () => {
  const leaving = leaseGivenBack(held, 2000);
  expect(leaving.state).toBe('leaving');
  expect(ownedAt(leaving, 4500)).toBe(apps.length);
  expect(mayPost(leaving, 4500)).toBe(true);
  expect(mayPost(leaving, 7000)).toBe(false);
  expect(mayPost(leaseGivenBack(held, 10_000), 10_800)).toBe(false);
  const left = leaseLeft(leaving);
  expect(ownedAt(left, 4500)).toBe(0);
  expect(mayPost(left, 4500)).toBe(false);
});

test('an answer that comes while leaving changes nothing', () => {
  const leaving = leaseGivenBack(held, 2000);
  const attempt = { leaseId, startedMs: 1900, endedMs: 2100 };
  expect(leaseAnswered(leaving, attempt, [leaseId])).toBe(leaving);
  expect(leaseRefused(leaving, 2100)).toBe(leaving);
  expect(leaseFailed(leaving, attempt)).toBe(leaving);
});

test('after an outage that cost everyone their lease, who returns first does not take everything', () => {
  const other = createLeaseIds();
  const both = leaseAnswered(held, { leaseId, startedMs: 3000, endedMs: 3010 }, [leaseId, other.next()]);
  const mineBefore = ownedAt(both, 3010);
  const lost = leaseFailed(both, { startedMs: 15_000, endedMs: 17_000 });
  const next = ids.next();
  const back = leaseAnswered(lost, { leaseId: next, startedMs: 19_000, endedMs: 19_010 }, [next]);
  expect(ownedAt(back, 19_010)).toBe(mineBefore);
  const returned = leaseAnswered(back, { leaseId: next, startedMs: 21_000, endedMs: 21_010 }, [
    next,
    other.next(),
  ]);
  expect(ownedAt(returned, 21_010)).toBe(mineBefore);
  const waiting = leaseAnswered(back, { leaseId: next, startedMs: 21_000, endedMs: 21_010 }, [next]);
  expect(ownedAt(waiting, 21_010)).toBe(mineBefore);
  const alone = leaseAnswered(waiting, { leaseId: next, startedMs: 23_000, endedMs: 23_010 }, [next]);
  expect(ownedAt(alone, 23_010)).toBe(apps.length);
});

test('after being cut off alone, the members that took over and came meanwhile count at once', () => {
  const [other, young] = [createLeaseIds().next(), createLeaseIds().next()];
  const both = leaseAnswered(held, { leaseId, startedMs: 3000, endedMs: 3010 }, [leaseId, other]);
  const lost = leaseFailed(both, { startedMs: 15_000, endedMs: 17_000 });
  const next = ids.next();
  const back = leaseAnswered(lost, { leaseId: next, startedMs: 19_000, endedMs: 19_010 }, [
    next,
    other,
    young,
  ]);
  expect(back.view?.members).toEqual([next, other, young].map(memberOf).sort());
});

function ownedAt(lease: Lease, nowMs: number): number {
  return apps.filter((app) => ownsApp(lease, app, nowMs)).length;
}

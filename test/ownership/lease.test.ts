import { expect, test } from '@jest/globals';
import { createLeaseIds, memberOf } from '../../src/ownership/lease-id.js';
import {
  leaseRenewed,
  leaseFailed,
  leaseGivenBack,
  leaseLeft,
  leaseRejected,
  leaseSwitched,
  mayPost,
  nextAttemptMs,
  nextChangeMs,
  noLease,
  ownedSinceMs,
  ownsApp,
  stateAt,
  type Lease,
  type Attempt,
} from '../../src/ownership/lease.js';
import type { LeaseList } from '../../src/ownership/member-store.js';
import type { LivingLease } from '../../src/ownership/roster.js';
import { leaseMs } from '../../src/ownership/timing.js';

const ids = createLeaseIds();
const leaseId = ids.next();
const apps = Array.from({ length: 50 }, (_, i) => `app-${i}`);
const held = answered(noLease, { leaseId, startedMs: 1000, endedMs: 1500 }, [leaseId]);

test('who never had an answer owns nothing and posts nothing', () => {
  const failed = leaseFailed(noLease, { startedMs: 0, endedMs: 2000 });
  expect(failed.state).toBe('joining');
  expect(ownedAt(failed, 2000)).toBe(0);
  expect(mayPost(failed, 2000)).toBe(false);
});

test('a lease counts from the start of the attempt, a little shorter than in the database', () => {
  expect(stateAt(held, 7_369)).toBe('member');
  expect(mayPost(held, 7_369)).toBe(true);
  expect(stateAt(held, 7_370)).toBe('lost');
  expect(mayPost(held, 7_370)).toBe(false);
});

test('with its lease over a member goes on collecting and posts nothing, until a renewal counts', () => {
  let lease = held;
  for (let startedMs = 3000; startedMs < 60_000; startedMs += 2000) {
    lease = leaseFailed(lease, { startedMs, endedMs: startedMs + 2000 });
  }
  expect(lease.state).toBe('lost');
  expect(ownedAt(lease, 61_000)).toBe(apps.length);
  expect(mayPost(lease, 61_000)).toBe(false);
  const next = ids.next();
  const back = answered(lease, { leaseId: next, startedMs: 61_000, endedMs: 61_010 }, [next]);
  expect(back).toMatchObject({ state: 'member', leaseId: next });
  expect(mayPost(back, 61_010)).toBe(true);
});

test('an answer that arrives after its deadline does not extend the lease', () => {
  const late = answered(held, { leaseId, startedMs: 3000, endedMs: 5001 }, [
    leaseId,
    createLeaseIds().next(),
  ]);
  expect(late).toEqual({ ...held, attemptedMs: 5001 });
});

test('an answer at its deadline counts', () => {
  const renewed = answered(held, { leaseId, startedMs: 3000, endedMs: 5000 }, [leaseId]);
  expect(renewed).toMatchObject({ state: 'member', renewedMs: 3000 });
});

test('a lease that the database does not know any more is over at once', () => {
  const refused = leaseRejected(held, 3000);
  expect(refused.state).toBe('lost');
  expect(mayPost(refused, 3000)).toBe(false);
  expect(ownedAt(refused, 3000)).toBe(apps.length);
});

test('who was frozen owns nothing until it has asked once, and then what it last owned if nobody answers', () => {
  expect(ownedAt(held, 8_000)).toBe(apps.length);
  expect(ownedAt(held, 31_500)).toBe(0);
  const frozenWhileAsking = leaseFailed(held, { startedMs: 3000, endedMs: 31_500 });
  expect(ownedAt(frozenWhileAsking, 31_500)).toBe(0);
  expect(mayPost(frozenWhileAsking, 31_500)).toBe(false);
  const askedInVain = leaseFailed(frozenWhileAsking, { startedMs: 31_500, endedMs: 33_500 });
  expect(ownedAt(askedInVain, 33_500)).toBe(apps.length);
});

test('an attempt as long as a lease, and a pause as long, are no freeze yet', () => {
  const endedMs = 3000 + leaseMs;
  expect(leaseFailed(held, { startedMs: 3000, endedMs }).attemptedMs).toBe(endedMs);
  expect(leaseFailed(held, { startedMs: 3000, endedMs: endedMs + 1 }).attemptedMs).toBe(held.attemptedMs);
  expect(ownedAt(held, held.attemptedMs + leaseMs)).toBe(apps.length);
  expect(ownedAt(held, held.attemptedMs + leaseMs + 1)).toBe(0);
});

test('if no member counts, the last view stays', () => {
  const nobody = leaseRenewed(held, { leaseId, startedMs: 3000, endedMs: 3010 }, list(3005, []));
  expect(nobody.view).toBe(held.view);
});

test('whoever has left switches and waits for nothing', () => {
  const left = leaseLeft(leaseGivenBack(held, 2000));
  expect(leaseSwitched(left, 9000)).toBe(left);
  expect(leaseGivenBack(left, 9000)).toBe(left);
  expect(nextChangeMs({ ...left, outgoing: { view: held.view!, untilMs: 9500 } }, 9000)).toBe(Infinity);
});

test('the last sixteen views are remembered', () => {
  const others = Array.from({ length: 20 }, () => createLeaseIds().next());
  const joins = others.map((id, i) => ({ ...counting(id), countsInMs: 100 * (i + 1) }));
  const first = { leaseId, startedMs: 3000, endedMs: 3000 };
  let lease = leaseRenewed(held, first, list(3000, [counting(leaseId), ...joins]));
  for (let nowMs = 3100; nowMs <= 5000; nowMs += 100) lease = leaseSwitched(lease, nowMs);
  expect(lease.view?.members).toHaveLength(21);
  expect(lease.past.map(({ view }) => view.members.length)).toEqual(
    Array.from({ length: 16 }, (_, i) => 20 - i),
  );
});

test('who leaves owns and may post until the others have taken over, by the clock', () => {
  const leaving = leaseGivenBack(held, 2000);
  expect(leaving.state).toBe('leaving');
  expect(ownedAt(leaving, 4500)).toBe(apps.length);
  expect(mayPost(leaving, 4500)).toBe(true);
  expect(mayPost(leaving, 7200)).toBe(false);
  expect(mayPost(leaseGivenBack(held, 7_000), 7_370)).toBe(false);
  const left = leaseLeft(leaving);
  expect(ownedAt(left, 4500)).toBe(0);
  expect(mayPost(left, 4500)).toBe(false);
});

test('who leaves hears of others, but nothing gives it its lease back', () => {
  const other = createLeaseIds().next();
  const leaving = leaseGivenBack(held, 2000);
  const attempt = { leaseId, startedMs: 1900, endedMs: 2100 };
  const heard = leaseRenewed(leaving, attempt, list(2000, [counting(leaseId), counting(other)]));
  expect(heard).toMatchObject({ state: 'leaving', postUntilMs: leaving.postUntilMs });
  expect(heard.view?.members).toHaveLength(2);
  expect(leaseRejected(leaving, 2100)).toBe(leaving);
  expect(leaseFailed(leaving, attempt).state).toBe('leaving');
  const left = leaseLeft(leaving);
  expect(leaseRenewed(left, attempt, list(2000, [counting(leaseId)]))).toBe(left);
  expect(leaseFailed(left, attempt)).toBe(left);
});

test('after an outage that cost everyone their lease, who returns first does not take everything', () => {
  const other = createLeaseIds();
  const both = answered(held, { leaseId, startedMs: 3000, endedMs: 3010 }, [leaseId, other.next()]);
  const mineBefore = ownedAt(both, 3010);
  const lost = leaseFailed(both, { startedMs: 15_000, endedMs: 17_000 });
  const next = ids.next();
  const back = answered(lost, { leaseId: next, startedMs: 19_000, endedMs: 19_010 }, [next]);
  expect(ownedAt(back, 19_010)).toBe(mineBefore);
  const returned = answered(back, { leaseId: next, startedMs: 21_000, endedMs: 21_010 }, [
    next,
    other.next(),
  ]);
  expect(ownedAt(returned, 21_010)).toBe(mineBefore);
  const waiting = answered(back, { leaseId: next, startedMs: 21_000, endedMs: 21_010 }, [next]);
  expect(ownedAt(waiting, 21_010)).toBe(mineBefore);
  const alone = answered(waiting, { leaseId: next, startedMs: 23_000, endedMs: 23_010 }, [next]);
  expect(ownedAt(alone, 23_010)).toBe(apps.length);
});

test('after being cut off alone, the members that took over and came meanwhile count at once', () => {
  const [other, young] = [createLeaseIds().next(), createLeaseIds().next()];
  const both = answered(held, { leaseId, startedMs: 3000, endedMs: 3010 }, [leaseId, other]);
  const lost = leaseFailed(both, { startedMs: 15_000, endedMs: 17_000 });
  const next = ids.next();
  const back = answered(lost, { leaseId: next, startedMs: 19_000, endedMs: 19_010 }, [next, other, young]);
  expect(back.view?.members).toEqual([next, other, young].map(memberOf).sort());
});

test('who joins owns its share from its switch on, and the others release that a moment later', () => {
  const [old, young] = [createLeaseIds(), createLeaseIds()];
  const [oldId, youngId] = [old.next(), young.next()];
  const attempt = { startedMs: 1000, endedMs: 1020 };
  const joining: LivingLease[] = [counting(oldId), { ...counting(youngId), countsInMs: 2500 }];
  const joined = leaseRenewed(noLease, { ...attempt, leaseId: youngId }, list(1010, joining));
  const before = leaseRenewed(
    answered(noLease, { ...attempt, leaseId: oldId }, [oldId]),
    { ...attempt, leaseId: oldId },
    list(1010, joining),
  );
  expect([ownedAt(joined, 1020), ownedAt(before, 1020)]).toEqual([0, apps.length]);
  const switchMs = 1010 + 2500;
  expect([nextChangeMs(joined, 1020), nextChangeMs(before, 1020)]).toEqual([switchMs, switchMs]);

  const share = ownedAt(leaseSwitched(joined, switchMs), switchMs);
  expect(share).toBeGreaterThan(0);
  const releasing = leaseSwitched(before, switchMs);
  expect(ownedAt(releasing, switchMs)).toBe(apps.length);
  expect(nextChangeMs(releasing, switchMs)).toBe(switchMs + 200);
  expect(ownedAt(releasing, switchMs + 200)).toBe(apps.length - share);
  expect(nextChangeMs(leaseSwitched(releasing, switchMs + 200), switchMs + 200)).toBe(Infinity);
});

test('a busy member that is late to switch owns nothing of the others for longer than one that is not', () => {
  const other = createLeaseIds().next();
  const joining: LivingLease[] = [counting(leaseId), { ...counting(other), countsInMs: 2500 }];
  const before = leaseRenewed(held, { leaseId, startedMs: 3000, endedMs: 3000 }, list(3000, joining));
  const [inTime, late] = [leaseSwitched(before, 5500), leaseSwitched(before, 7000)];
  expect([ownedAt(inTime, 5699), ownedAt(late, 7000)]).toEqual([apps.length, ownedAt(inTime, 5700)]);
  expect(ownedAt(late, 7000)).toBeLessThan(apps.length);
});

test('who leaves is replaced at its switch', () => {
  const other = createLeaseIds().next();
  const both = leaseRenewed(
    held,
    { leaseId, startedMs: 3000, endedMs: 3000 },
    list(3000, [{ ...counting(other), leavesInMs: 2600 }, counting(leaseId)]),
  );
  expect(ownedAt(both, 3000)).toBe(apps.length);
  const shared = leaseSwitched({ ...both, outgoing: null }, 5599);
  expect(ownedAt(shared, 5599)).toBeLessThan(apps.length);
  expect(ownedAt(leaseSwitched(shared, 5600), 5600)).toBe(apps.length);
});

test('where nobody counts yet, the first of those that wait does', () => {
  const other = createLeaseIds().next();
  const first = leaseRenewed(
    noLease,
    { leaseId, startedMs: 0, endedMs: 0 },
    list(0, [
      { ...counting(leaseId), countsInMs: 2500 },
      { ...counting(other), countsInMs: 2900 },
    ]),
  );
  expect(ownedAt(first, 0)).toBe(apps.length);
  expect(leaseSwitched(first, 2500).view?.members).toHaveLength(1);
  expect(leaseSwitched(first, 2900).view?.members).toHaveLength(2);
});

test('who returns to others that have taken over releases at once and waits for its switch', () => {
  const other = createLeaseIds().next();
  const both = answered(held, { leaseId, startedMs: 3000, endedMs: 3010 }, [leaseId, other]);
  const lost = leaseFailed(both, { startedMs: 15_000, endedMs: 17_000 });
  expect(ownedAt(lost, 18_000)).toBeGreaterThan(0);
  const next = ids.next();
  const back = leaseRenewed(
    lost,
    { leaseId: next, startedMs: 19_000, endedMs: 19_000 },
    list(19_000, [counting(other), { ...counting(next), countsInMs: 2500 }]),
  );
  expect([ownedAt(back, 19_000), mayPost(back, 19_000)]).toEqual([0, true]);
  const switched = leaseSwitched(back, 21_500);
  expect(ownedAt(switched, 21_500)).toBe(ownedAt(lost, 18_000));
});

test('a switch is where it is, however long the response took that told of it', () => {
  const other = createLeaseIds().next();
  const leaves: LivingLease[] = [{ ...counting(other), leavesInMs: 2_600 }, counting(leaseId)];
  const quick = leaseRenewed(
    noLease,
    { leaseId, startedMs: 1_000, endedMs: 1_002 },
    list(1_001, [counting(other)]),
  );
  const slow = leaseRenewed(quick, { leaseId, startedMs: 3_000, endedMs: 4_800 }, list(3_001, leaves));
  expect(Math.abs(nextChangeMs({ ...slow, outgoing: null }, 4_800) - 5_601)).toBeLessThan(70);
});

test('an app has been ours since the first of the views without a break in which it is, and not before', () => {
  const [elder, leaver] = [createLeaseIds().next(), createLeaseIds().next()];
  const joins: LivingLease[] = [
    counting(elder),
    { ...counting(leaver), leavesInMs: 5_600 },
    { ...counting(leaseId), countsInMs: 2_600 },
  ];
  const joined = leaseRenewed(noLease, { leaseId, startedMs: 1_000, endedMs: 1_000 }, list(1_000, joins));
  const member = leaseSwitched(joined, 3_600);
  const [atOnce] = apps.filter((app) => ownsApp(member, app, 3_600));
  const later = leaseSwitched(member, 6_600);
  const gained = apps.filter((app) => ownsApp(later, app, 6_900) && !ownsApp(member, app, 6_500));
  expect(gained.length).toBeGreaterThan(0);
  expect(gained.map((app) => ownedSinceMs(later, app))).toEqual(gained.map(() => 6_600));
  expect(ownedSinceMs(later, atOnce!)).toBe(3_600);
});

test('what a member has had alone from the start, nobody else can have had', () => {
  expect(ownedSinceMs(held, apps[0]!)).toBeNull();
  const other = createLeaseIds().next();
  const both = answered(held, { leaseId, startedMs: 3000, endedMs: 3000 }, [leaseId, other]);
  const mine = apps.filter((app) => ownsApp(both, app, 3000));
  expect(new Set(mine.map((app) => ownedSinceMs(both, app)))).toEqual(new Set([null]));
});

test('the next attempt comes when the lease of another may have ended, and no later than usual', () => {
  const [other, dying] = [createLeaseIds().next(), createLeaseIds().next()];
  const near = (expiresInMs: number): Lease =>
    leaseRenewed(
      held,
      { leaseId, startedMs: 3000, endedMs: 3000 },
      list(3000, [
        { ...counting(leaseId), expiresInMs: 10 },
        counting(other),
        { ...counting(dying), expiresInMs },
      ]),
    );
  expect(nextAttemptMs(noLease, 3000, 2000)).toBe(5000);
  expect(nextAttemptMs(held, 3000, 2000)).toBe(5000);
  expect(nextAttemptMs(near(leaseMs), 3000, 2000)).toBe(5000);
  expect(nextAttemptMs(near(1200), 3000, 2000)).toBe(4250);
  expect(nextAttemptMs(near(20), 3000, 2000)).toBe(3100);
  // What had ended when a failed attempt began was looked at then.
  expect(nextAttemptMs(near(1200), 4250, 2000)).toBe(6250);
});

/** The database answered with these leases, whose members all count. */
function answered(lease: Lease, attempt: Attempt, leaseIds: readonly string[]): Lease {
  const next = leaseRenewed(
    lease,
    attempt,
    list((attempt.startedMs + attempt.endedMs) / 2, leaseIds.map(counting)),
  );
  return { ...next, outgoing: null };
}

/** Own clock and the database's are the same in these tests. */
function list(databaseMs: number, leases: readonly LivingLease[]): LeaseList {
  return { databaseMs, leases };
}

function counting(id: string): LivingLease {
  return { leaseId: id, countsInMs: 0, leavesInMs: null, expiresInMs: leaseMs };
}

function ownedAt(lease: Lease, nowMs: number): number {
  return apps.filter((app) => ownsApp(lease, app, nowMs)).length;
}

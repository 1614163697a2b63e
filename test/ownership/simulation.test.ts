import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { leaseMs, lateReleaseMs, renewDeadlineMs, renewEveryMs } from '../../src/ownership/timing.js';
import { Fleet, intervalMs, type Member, type Post } from './simulation/fleet.js';
import { noFaults, type FaultRates } from './simulation/network.js';

/*
 * Whole fleets in simulated time: the real ownership and claims, each with clocks of its own, on a model of the
 * database that freezes and stalls, over links that lose, delay and repeat the past. fast-check makes up what happens.
 */

/** Clocks run up to 1 % fast or slow, and a message takes up to 20 ms each way. */
const tolerance = 1.02;
const renewalMs = renewEveryMs * tolerance + 50;
const leaseOverMs = leaseMs * tolerance;
const deadlineMs = renewDeadlineMs * tolerance;
const sampleMs = 50;

/** Enough to keep the rules; whoever changes them sets SIMULATION_RUNS to a thousand. */
const runs = Number(process.env['SIMULATION_RUNS'] ?? 15);

const memberHappenings = ['join', 'leave', 'kill', 'freeze', 'cut', 'wall-clock'] as const;
const databaseHappenings = ['freeze-database', 'stall-commits'] as const;
type Kind = (typeof memberHappenings)[number] | (typeof databaseHappenings)[number];

interface Happening {
  readonly kind: Kind;
  readonly afterMs: number;
  readonly forMs: number;
  readonly member: number;
}

interface Story {
  readonly seed: number;
  readonly members: number;
  readonly happenings: readonly Happening[];
}

function storyOf(...kinds: readonly Kind[]): fc.Arbitrary<Story> {
  const happening = fc.record({
    kind: fc.constantFrom(...kinds),
    afterMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 12_000 })),
    forMs: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 25_000 })),
    member: fc.nat(20),
  });
  return fc.record({
    seed: fc.nat(),
    members: fc.integer({ min: 1, max: 5 }),
    happenings: fc.array(happening, { maxLength: 8 }),
  });
}

/** Starts the members one after the other, lets the story happen, then waits until its last effects are over. */
async function tell(fleet: Fleet, story: Story, faults: FaultRates = { ...noFaults }): Promise<void> {
  const { world } = fleet;
  for (let i = 0; i < story.members; i++) {
    fleet.start(faults);
    await world.run(world.now + world.between(0, 2000));
  }
  let overAt = 0;
  for (const { kind, afterMs, forMs, member } of story.happenings) {
    await world.run(world.now + afterMs);
    overAt = Math.max(overAt, world.now + forMs);
    happen(fleet, kind, forMs, member, faults);
  }
  await world.run(Math.max(overAt, world.now));
  Object.assign(faults, noFaults);
  await world.run(world.now + 30_000);
}

/** The first member is the healthy one: it is left alone. */
function happen(fleet: Fleet, kind: Kind, forMs: number, index: number, faults: FaultRates): void {
  const others = fleet.living.filter((member) => member !== fleet.members[0]);
  const member: Member | undefined = others[index % Math.max(1, others.length)];
  if (kind === 'join') fleet.start(faults);
  if (kind === 'freeze-database') fleet.freezeDatabase(forMs);
  if (kind === 'stall-commits') fleet.stallCommits(forMs);
  if (!member) return;
  if (kind === 'leave') fleet.leave(member);
  if (kind === 'kill') fleet.kill(member);
  if (kind === 'freeze') fleet.freeze(member, forMs);
  if (kind === 'cut') fleet.cut(member, forMs);
  if (kind === 'wall-clock') member.process.jumpWallClock(forMs * 1000 - 1e7);
}

/** Calls back every few milliseconds of true time, for ever. */
function sample(fleet: Fleet, look: () => void): void {
  const next = () => {
    look();
    fleet.world.at(fleet.world.now + sampleMs, next);
  };
  next();
}

/** Remembers when the members last disagreed. */
function watchAgreement(fleet: Fleet): { lastDisagreement: number } {
  const watched = { lastDisagreement: 0 };
  sample(fleet, () => {
    if (!fleet.agree()) watched.lastDisagreement = fleet.world.now;
  });
  return watched;
}

/** How long each app had two owners at most, once the first members have found each other. */
function watchSharing(fleet: Fleet): ReadonlyMap<string, number> {
  const longestMs = new Map(fleet.apps.map((appId) => [appId, 0]));
  const sinceMs = new Map<string, number>();
  sample(fleet, () => {
    const { now } = fleet.world;
    for (const appId of fleet.apps) {
      if (now < 5_000 || fleet.ownersOf(appId).length < 2) sinceMs.delete(appId);
      else if (!sinceMs.has(appId)) sinceMs.set(appId, now);
      longestMs.set(appId, Math.max(longestMs.get(appId) ?? 0, now - (sinceMs.get(appId) ?? now)));
    }
  });
  return longestMs;
}

/** The longest that an app had no owner, counted from the last death or from `faultyAt`, whichever is later. */
function watchOrphans(fleet: Fleet, faultyAt: (appId: string) => number = () => 0): { longestMs: number } {
  const watched = { longestMs: 0 };
  const ownedAt = new Map<string, number>();
  sample(fleet, () => {
    const { now } = fleet.world;
    for (const appId of fleet.apps) {
      const isOwned = fleet.ownersOf(appId).length > 0;
      const since = isOwned ? now : Math.max(ownedAt.get(appId) ?? 0, fleet.lastDeath, faultyAt(appId));
      ownedAt.set(appId, since);
      watched.longestMs = Math.max(watched.longestMs, now - since);
    }
  });
  return watched;
}

/** Pairs of posts for one app that were claimed within one interval of the database's time. */
function doublePosts(posts: readonly Post[]): [Post, Post][] {
  const last = new Map<string, Post>();
  const doubles: [Post, Post][] = [];
  for (const post of posts) {
    const earlier = last.get(post.appId);
    const elapsed = earlier && (post.claimedAt ?? post.at) - (earlier.claimedAt ?? earlier.at);
    if (earlier && elapsed !== undefined && elapsed < intervalMs) doubles.push([earlier, post]);
    last.set(post.appId, post);
  }
  return doubles;
}

test('whatever happens, all members agree soon afterwards, and none posts without a lease or twice', async () => {
  await fc.assert(
    fc.asyncProperty(storyOf(...memberHappenings, ...databaseHappenings), async (story) => {
      const faults = { lost: 0.02, late: 0.04, commitStalls: 0.02 };
      const fleet = new Fleet({ seed: story.seed, apps: 6, faults });
      const watched = watchAgreement(fleet);
      await tell(fleet, story, faults);
      expect(fleet.agree()).toBe(true);
      const settled = fleet.lastDisturbance + leaseOverMs + deadlineMs + 2 * renewalMs;
      expect(watched.lastDisagreement).toBeLessThanOrEqual(settled);
      expect(fleet.posts.filter((post) => !post.isEntitled)).toEqual([]);
      expect(fleet.posts.filter((post) => post.claimedAt === undefined)).toEqual([]);
      expect(doublePosts(fleet.posts)).toEqual([]);
    }),
    { numRuns: runs },
  );
});

test('without claims, the same stories post twice within an interval', async () => {
  const stories = fc.sample(storyOf('join', 'leave', 'cut', 'freeze'), { numRuns: 20, seed: 1 });
  let doubles = 0;
  for (const story of stories) {
    const fleet = new Fleet({ seed: story.seed, apps: 6, withClaims: false });
    await tell(fleet, story);
    doubles += doublePosts(fleet.posts).length;
    expect(fleet.posts.filter((post) => !post.isEntitled)).toEqual([]);
  }
  expect(doubles).toBeGreaterThan(10);
});

test('members that come and go in peace agree within two renewals, and apps change owners at one moment', async () => {
  await fc.assert(
    fc.asyncProperty(storyOf('join', 'leave', 'wall-clock'), async (story) => {
      const fleet = new Fleet({ seed: story.seed, apps: 8 });
      const watched = watchAgreement(fleet);
      const orphans: string[] = [];
      let orphaned = new Set<string>();
      sample(fleet, () => {
        if (fleet.world.now < sampleMs) return;
        const before = orphaned;
        orphaned = new Set(fleet.apps.filter((appId) => fleet.ownersOf(appId).length === 0));
        // An app may be between two owners for as long as an answer is on its way.
        orphans.push(...[...orphaned].filter((appId) => before.has(appId)));
      });
      const sharedMs = watchSharing(fleet);
      await tell(fleet, story);
      expect(Math.max(...sharedMs.values())).toBeLessThanOrEqual(lateReleaseMs * tolerance + 2 * sampleMs);
      expect(watched.lastDisagreement).toBeLessThanOrEqual(fleet.lastDisturbance + 2 * renewalMs);
      expect(orphans).toEqual([]);
    }),
    { numRuns: runs },
  );
});

test('while one healthy member lives, no app is without an owner for longer than a lease and two renewals', async () => {
  await fc.assert(
    fc.asyncProperty(storyOf(...memberHappenings), async (story) => {
      const faults = { lost: 0.02, late: 0.04, commitStalls: 0 };
      const fleet = new Fleet({ seed: story.seed, apps: 8, faults });
      fleet.start(noFaults);
      // A fault of the heir itself counts like a death: it hears of its share a renewal later.
      const orphans = watchOrphans(fleet, (appId) => fleet.heirOf(appId)?.link.faultyAt ?? 0);
      await tell(fleet, story, faults);
      expect(orphans.longestMs).toBeLessThanOrEqual(leaseOverMs + 2 * renewalMs + sampleMs);
    }),
    { numRuns: runs },
  );
});

test('after a death every app has an owner again within seven seconds', async () => {
  const kills = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 9_000 }), member: fc.nat(20) }), {
    minLength: 1,
    maxLength: 4,
  });
  let worstMs = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(), kills, async (seed, deaths) => {
      const fleet = new Fleet({ seed, apps: 8 });
      for (let i = 0; i < 5; i++) fleet.start();
      await fleet.world.run(10_000);
      const orphans = watchOrphans(fleet);
      for (const { afterMs, member } of deaths) {
        await fleet.world.run(fleet.world.now + afterMs);
        happen(fleet, 'kill', 0, member, { ...noFaults });
      }
      await fleet.world.run(fleet.world.now + 15_000);
      expect(orphans.longestMs).toBeLessThanOrEqual(7_000);
      expect(fleet.agree()).toBe(true);
      worstMs = Math.max(worstMs, orphans.longestMs);
    }),
    { numRuns: runs },
  );
  expect(worstMs).toBeGreaterThan(leaseMs - renewalMs);
});

test.each<{ title: string; statementMs: number; forMs: number; kind: Kind }>([
  { title: 'a pause of three seconds and a slow database', statementMs: 500, forMs: 3_000, kind: 'freeze' },
  { title: 'a database that is silent for long', statementMs: 0, forMs: 3_500, kind: 'freeze-database' },
])('no lease is lost and no app moves because of $title', async ({ statementMs, forMs, kind }) => {
  const happenings = fc.array(fc.record({ inMs: fc.integer({ min: 0, max: 2_000 }), member: fc.nat(20) }), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(), happenings, async (seed, story) => {
      const fleet = new Fleet({ seed, apps: 8 });
      fleet.database.statementMs = statementMs;
      for (let i = 0; i < 3; i++) fleet.start();
      await fleet.world.run(10_000);
      const owners = () => fleet.apps.map((app) => fleet.members.filter((each) => each.ownership.owns(app)));
      const before = owners();
      const seen = new Set<string>();
      sample(fleet, () => fleet.members.forEach(({ ownership }) => seen.add(ownership.state)));
      for (const { inMs, member } of story) {
        await fleet.world.run(fleet.world.now + inMs);
        happen(fleet, kind, forMs, member, { ...noFaults });
        await fleet.world.run(fleet.world.now + 8_000);
      }
      expect([...seen]).toEqual(['member']);
      expect(owners()).toEqual(before);
    }),
    { numRuns: runs },
  );
});

test('who joins takes its share from the others and nothing else moves; who leaves gives it back', async () => {
  const fleet = new Fleet({ seed: 4, apps: 600 });
  const owners = () => fleet.apps.map((appId) => fleet.members.indexOf(fleet.ownersOf(appId)[0]!));
  for (let i = 0; i < 4; i++) fleet.start();
  await fleet.world.run(10_000);
  const before = owners();
  const fifth = fleet.start();
  await fleet.world.run(20_000);
  const after = owners();
  const moved = after.filter((owner, i) => owner !== before[i]);
  expect(moved.every((owner) => owner === 4)).toBe(true);
  expect(Math.abs(moved.length / 600 - 1 / 5)).toBeLessThan(0.05);
  fleet.leave(fifth);
  await fleet.world.run(30_000);
  expect(owners()).toEqual(before);
});

test('an outage of a minute moves no app, and everyone may post again within seconds of its end', async () => {
  const fleet = new Fleet({ seed: 5, apps: 100 });
  for (let i = 0; i < 5; i++) fleet.start();
  await fleet.world.run(10_000);
  const owners = () =>
    fleet.apps.map((appId) => fleet.ownersOf(appId).map((owner) => fleet.members.indexOf(owner)));
  const before = owners();
  fleet.freezeDatabase(60_000);
  let moves = 0;
  sample(fleet, () => {
    if (JSON.stringify(owners()) !== JSON.stringify(before)) moves++;
  });
  await fleet.world.run(69_000);
  expect(fleet.members.map(({ ownership }) => ownership.mayPost())).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
  expect(fleet.posts.filter((post) => post.at > 25_000)).toEqual([]);
  await fleet.world.run(70_000 + deadlineMs + renewalMs);
  expect(fleet.members.map(({ ownership }) => ownership.mayPost())).toEqual([true, true, true, true, true]);
  await fleet.world.run(70_000 + 15_000);
  expect(new Set(fleet.posts.filter((post) => post.at > 70_000).map((post) => post.appId)).size).toBe(100);
  expect(moves).toBe(0);
});

test('frozen and cut-off members post nothing while their lease is over', async () => {
  const fleet = new Fleet({ seed: 6, apps: 30 });
  const [, frozen, cut] = [fleet.start(), fleet.start(), fleet.start()];
  await fleet.world.run(10_000);
  fleet.freeze(frozen, 30_000);
  fleet.cut(cut, 30_000);
  await fleet.world.run(39_000);
  expect(cut.ownership.state).toBe('lost');
  expect(cut.ownership.mayPost()).toBe(false);
  await fleet.world.run(60_000);
  expect(fleet.agree()).toBe(true);
  expect(fleet.posts.filter((post) => !post.isEntitled)).toEqual([]);
  expect(doublePosts(fleet.posts)).toEqual([]);
});

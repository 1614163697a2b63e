import { beforeEach, expect, test } from '@jest/globals';
import type { Clock } from '../../src/util/clock.js';
import { ElasticOwnership } from '../../src/ownership/elastic-ownership.js';
import { createLeaseIds, memberOf } from '../../src/ownership/lease-id.js';
import type { Candidate, Leave, LeaseList } from '../../src/ownership/member-store.js';
import type { LivingLease } from '../../src/ownership/roster.js';
import { leaseMs } from '../../src/ownership/timing.js';
import type { Logger } from '../../src/observability/logger.js';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';

const other = createLeaseIds().next();
const apps = Array.from({ length: 40 }, (_, i) => `app-${i}`);

/** Answers as told; remembers what it was asked. */
class FakeStore {
  asked: string[] = [];
  now = () => clock.monotonic();
  candidates: Candidate[] = [];
  /** Lease ids whose members count, or leases. */
  answer: (leaseId: string) => Promise<readonly (string | LivingLease)[] | null> = (leaseId) =>
    Promise.resolve([leaseId]);

  async join(candidate: Candidate): Promise<LeaseList> {
    this.asked.push('join');
    this.candidates.push(candidate);
    return (await this.#list(candidate.leaseId)) ?? { databaseMs: this.now(), leases: [] };
  }

  async renew(leaseId: string, appsOwned: number): Promise<LeaseList | null> {
    this.asked.push(`renew ${appsOwned}`);
    return this.#list(leaseId);
  }

  /** The statement arrives late and is answered at once. */
  async #list(leaseId: string): Promise<LeaseList | null> {
    const leases = await this.answer(leaseId);
    return leases && { databaseMs: this.now(), leases: leases.map(toLease) };
  }

  async leave(): Promise<Leave> {
    this.asked.push('leave');
    await this.answer('');
    return { databaseMs: this.now(), leavesInMs: 2750 };
  }

  async remove(): Promise<void> {
    this.asked.push('remove');
    await this.answer('');
  }
}

function toLease(lease: string | LivingLease): LivingLease {
  return typeof lease === 'string'
    ? { leaseId: lease, countsInMs: 0, leavesInMs: null, expiresInMs: leaseMs }
    : lease;
}

let clock: ManualClock;
let store: FakeStore;
let metrics: Metrics;
let logged: string[];
let ownership: ElasticOwnership;
let changes: number;

beforeEach(() => {
  clock = new ManualClock();
  store = new FakeStore();
  metrics = createMetrics();
  logged = [];
  changes = 0;
  const logger: Logger = {
    ...silentLogger,
    info: (event, data) =>
      void logged.push(data && 'members' in data ? `${event} ${Number(data['members'])}` : event),
    error: (event) => void logged.push(`error ${event}`),
    child: () => logger,
  };
  ownership = new ElasticOwnership({
    clock,
    store,
    instance: { guid: 'guid', index: 3 },
    appsOwned: () => 7,
    logger,
    metrics,
    random: () => 0,
  });
  ownership.onChange(() => void changes++);
});

test('joins, renews at once and then every two seconds, and says what changed', async () => {
  expect([ownership.state, ownership.leaseId, owned()]).toEqual(['joining', null, 0]);
  ownership.start();
  ownership.start();
  await clock.advance(0);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['member', true, apps.length]);
  store.answer = (leaseId) => Promise.resolve([leaseId, other]);
  await clock.advance(4000);
  expect(store.asked).toEqual(['join', 'renew 7', 'renew 7', 'renew 7']);
  expect(store.candidates[0]).toMatchObject({ instanceGuid: 'guid', instanceIndex: 3 });
  expect(ownership.members).toContain(memberOf(other));
  expect(owned()).toBeLessThan(apps.length);
  // Once for the other member, and once when its share is let go of.
  expect(changes).toBe(3);
  expect(logged).toEqual(['member', 'members-changed 1', 'members-changed 2']);
  ownership.close();
});

test('a database that refuses connections is asked at the same pace, and complained about once', async () => {
  store.answer = () => Promise.reject(new Error('connection refused'));
  ownership.start();
  await clock.advance(20_000);
  expect(store.asked).toHaveLength(11);
  expect(new Set(store.candidates.map((candidate) => candidate.leaseId)).size).toBe(11);
  expect(logged).toEqual(['error renewal-failed']);
  ownership.close();
});

test('a database that hangs costs the lease, and a new one is taken when it is back', async () => {
  ownership.start();
  await clock.advance(4000);
  const before = ownership.leaseId;
  store.answer = () => failIn(2000);
  await clock.advance(6369);
  expect([ownership.state, ownership.mayPost()]).toEqual(['member', true]);
  await clock.advance(1);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['lost', false, apps.length]);
  await clock.advance(60_000);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['lost', false, apps.length]);
  store.answer = (leaseId) => Promise.resolve([leaseId]);
  await clock.advance(2000);
  expect([ownership.state, ownership.mayPost()]).toEqual(['member', true]);
  expect(changes).toBe(2);
  expect(ownership.leaseId).not.toBe(before);
  expect(memberOf(ownership.leaseId ?? '')).toBe(memberOf(before ?? ''));
  expect(logged.filter((event) => event.startsWith('error'))).toHaveLength(1);
  expect(await result('failed')).toBeGreaterThan(30);
  ownership.close();
});

test('a lease that is gone is replaced at once', async () => {
  ownership.start();
  await clock.advance(0);
  store.answer = (leaseId) => Promise.resolve(leaseId === store.candidates[0]?.leaseId ? null : [leaseId]);
  await clock.advance(2000);
  expect(store.asked).toEqual(['join', 'renew 7', 'renew 7', 'join', 'renew 7']);
  expect(ownership.state).toBe('member');
  expect(await result('refused')).toBe(1);
  ownership.close();
});

test('wall-clock jumps change nothing', async () => {
  ownership.start();
  await clock.advance(1000);
  clock.jumpWallClock(3_600_000);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['member', true, apps.length]);
  clock.jumpWallClock(-7_200_000);
  await clock.advance(10_000);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['member', true, apps.length]);
  ownership.close();
});

test('an answer that comes after its deadline is not believed', async () => {
  ownership.start();
  await clock.advance(0);
  store.answer = (leaseId) => new Promise((resolve) => clock.setTimer(2001, () => resolve([leaseId, other])));
  await clock.advance(6370);
  expect([ownership.state, ownership.members.length]).toEqual(['lost', 1]);
  expect(await result('late')).toBeGreaterThan(0);
  ownership.close();
});

test('leaving tells the others first and goes on owning until a moment after they take over', async () => {
  ownership.start();
  await clock.advance(0);
  const left = ownership.leave();
  await clock.advance(2949);
  // It goes on asking who else there is.
  expect(store.asked).toEqual(['join', 'renew 7', 'leave', 'renew 7']);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['leaving', true, apps.length]);
  await clock.advance(1);
  await left;
  expect(store.asked.slice(4)).toEqual(['remove']);
  expect([ownership.state, ownership.mayPost(), owned()]).toEqual(['left', false, 0]);
  expect(changes).toBe(2);
  expect(clock.pendingTimers).toBe(0);
  expect(await ownership.confirmLease()).toBe(false);
});

test('leaving while the database hangs takes two attempts: who could tell nobody has nobody to wait for', async () => {
  ownership.start();
  await clock.advance(0);
  store.answer = () => failIn(1000);
  const left = ownership.leave();
  await clock.advance(2000);
  await left;
  expect(store.asked.filter((asked) => !asked.startsWith('renew'))).toEqual(['join', 'leave', 'leave']);
});

test('leaving while joining waits for that answer, so that no lease is left behind', async () => {
  store.answer = (leaseId) => new Promise((resolve) => clock.setTimer(1500, () => resolve([leaseId])));
  ownership.start();
  await clock.advance(0);
  const left = ownership.leave();
  await clock.advance(1499);
  expect(store.asked).toEqual(['join']);
  await clock.advance(4500);
  expect(store.asked).toEqual(['join', 'leave', 'remove']);
  await left;
  expect(owned()).toBe(0);
});

test('leaving before the start asks the database nothing', async () => {
  await ownership.leave();
  ownership.start();
  await clock.advance(10_000);
  expect(store.asked).toEqual([]);
});

test('a lease is confirmed by a renewal that was sent after the question', async () => {
  ownership.start();
  await clock.advance(1000);
  let confirmed: boolean | undefined;
  const ask = () => void ownership.confirmLease().then((holds) => (confirmed = holds));
  ask();
  await clock.advance(999);
  expect(confirmed).toBeUndefined();
  await clock.advance(1);
  expect(confirmed).toBe(true);
  ask();
  store.answer = () => failIn(2000);
  await clock.advance(4000);
  expect([confirmed, ownership.state]).toEqual([false, 'member']);
  ownership.close();
});

test('a listener that throws costs nobody the lease', async () => {
  ownership.onChange(() => {
    throw new Error('a fault elsewhere');
  });
  ownership.start();
  await clock.advance(20_000);
  expect(ownership.state).toBe('member');
  expect(logged).toContain('error listener-failed');
  ownership.close();
});

test('metrics show state, members and the age of the lease', async () => {
  ownership.start();
  await clock.advance(0);
  store.answer = () => failIn(2000);
  await clock.advance(4000);
  const text = await metrics.registry.metrics();
  expect(text).toContain('autoscaler_eventgenerator_members 1\n');
  expect(text).toContain('autoscaler_eventgenerator_member_state{state="member"} 1\n');
  expect(text).toContain('autoscaler_eventgenerator_member_state{state="lost"} 0\n');
  expect(text).toContain('autoscaler_eventgenerator_lease_age_seconds 4\n');
  ownership.close();
});

function owned(): number {
  return apps.filter((app) => ownership.owns(app)).length;
}

function failIn(ms: number): Promise<never> {
  return new Promise((_, reject) => clock.setTimer(ms, () => reject(new Error('no answer'))));
}

async function result(name: string): Promise<number> {
  const { values } = await metrics.leaseRenewals.get();
  return values.find((value) => value.labels['result'] === name)?.value ?? 0;
}

test('a switch is not missed by a timer that fires a little early while time goes on', async () => {
  for (let countsInMs = 700; countsInMs < 702; countsInMs += 0.1) {
    const steady = new ManualClock();
    let drifted = 0;
    const restless: Clock = {
      now: () => steady.now(),
      monotonic: () => steady.monotonic() + (drifted += 0.25),
      setTimer: (delayMs, callback) => steady.setTimer(Math.max(0, Math.trunc(delayMs) - 1), callback),
    };
    const joins = new ElasticOwnership({
      clock: restless,
      store,
      instance: { guid: 'guid', index: 3 },
      appsOwned: () => 7,
      logger: silentLogger,
      metrics,
    });
    const present = { leaseId: other, countsInMs, leavesInMs: null, expiresInMs: leaseMs };
    store.answer = (leaseId) => Promise.resolve([leaseId, present]);
    joins.start();
    await steady.advance(710);
    expect(joins.members).toContain(memberOf(other));
    joins.close();
  }
});

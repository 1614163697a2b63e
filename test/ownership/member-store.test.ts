import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createServer, type Server, type Socket } from 'node:net';
import { createLeaseIds } from '../../src/ownership/lease-id.js';
import {
  createMemberStore,
  type Candidate,
  type LeaseList,
  type MemberStore,
} from '../../src/ownership/member-store.js';
import { tableNames } from '../../src/database/table-names.js';
import { createOwnershipDatabase, poolStatements, type OwnershipDatabase } from './tables.js';

let db: OwnershipDatabase;
let store: MemberStore;
beforeAll(async () => {
  db = await createOwnershipDatabase();
  store = createMemberStore(db.statements, tableNames('act'));
});
afterAll(() => db.close());
beforeEach(() => db.database.pool.query('truncate eventgenerator_member'));

test('who joins is in its own first view, and in those of others once it has renewed', async () => {
  const [a, b] = [candidate(), candidate()];
  const both = [a.leaseId, b.leaseId].sort();
  expect(await enter(a)).toEqual([a.leaseId]);
  expect(idsOf(await store.join(b)).toSorted()).toEqual(both);
  expect(await renew(a.leaseId, 3)).toEqual([a.leaseId]);
  expect((await renew(b.leaseId, 0))?.toSorted()).toEqual(both);
  expect((await renew(a.leaseId, 3))?.toSorted()).toEqual(both);
});

test('a renewal extends the lease by the database’s clock and writes the number of apps', async () => {
  const a = candidate();
  await store.join(a);
  await expireIn(a.leaseId, '1 second');
  await store.renew(a.leaseId, 7);
  const [row] = await store.readMembers();
  expect(row).toMatchObject({ leaseId: a.leaseId, appsOwned: 7 });
  expect(row!.expiresInMs).toBeGreaterThan(5_500);
  expect(row!.expiresInMs).toBeLessThanOrEqual(6_500);
});

test('an expired lease cannot be renewed and is nobody’s neighbour any more', async () => {
  const [a, b] = [candidate(), candidate()];
  await enter(a);
  await enter(b);
  await expireIn(a.leaseId, '-1 millisecond');
  expect(await store.renew(a.leaseId, 0)).toBeNull();
  expect(await renew(b.leaseId, 0)).toEqual([b.leaseId]);
  expect(await store.readMembers()).toHaveLength(1);
});

test('who rejoins replaces the earlier leases of its own process only', async () => {
  const ids = createLeaseIds();
  const [first, second, other] = [candidate(ids), candidate(ids), candidate()];
  await enter(other);
  await enter(first);
  expect(idsOf(await store.join(second)).toSorted()).toEqual([second.leaseId, other.leaseId].sort());
  expect(await store.renew(first.leaseId, 0)).toBeNull();
  expect((await renew(second.leaseId, 0))?.toSorted()).toEqual([second.leaseId, other.leaseId].sort());
  const third = candidate(ids);
  await enter(third);
  expect(await leaseIdsInTable()).toEqual([second.leaseId, third.leaseId, other.leaseId].sort());
});

test('who joins deletes rows long expired, and those that only a wrong clock can have written', async () => {
  const rows = [candidate(), candidate(), candidate(), candidate()];
  for (const row of rows) await enter(row);
  await expireIn(rows[0]!.leaseId, '-11 minutes');
  await expireIn(rows[1]!.leaseId, '-9 minutes');
  await expireIn(rows[2]!.leaseId, '1 hour');
  const late = candidate();
  expect(idsOf(await store.join(late)).toSorted()).toEqual([rows[3]!.leaseId, late.leaseId].sort());
  expect(await leaseIdsInTable()).toEqual([rows[1]!, rows[3]!, late].map((row) => row.leaseId).sort());
});

test('a member whose row lies in the future because the clock was set back renews and is in its own view', async () => {
  const a = candidate();
  await store.join(a);
  await expireIn(a.leaseId, '5 minutes');
  expect(await store.readMembers()).toEqual([]);
  expect(await renew(a.leaseId, 0)).toEqual([a.leaseId]);
  expect(await store.readMembers()).toHaveLength(1);
});

test('removal takes all leases of the process, and a renewal that arrives afterwards changes nothing', async () => {
  const ids = createLeaseIds();
  const [first, second, other] = [candidate(ids), candidate(ids), candidate()];
  await store.join(other);
  await store.join(second);
  await db.database.pool.query(
    `insert into eventgenerator_member (lease_id, instance_guid, instance_index, joined_at, counts_from, expires_at)
     values ($1, 'late', 0, now(), now(), now() + interval '10 s')`,
    [first.leaseId],
  );
  await store.remove(ids.lowest, ids.highest);
  expect(await store.renew(second.leaseId, 0)).toBeNull();
  expect(await leaseIdsInTable()).toEqual([other.leaseId]);
});

test('who joins counts from a switch on, of which all hear the same, between cycles', async () => {
  const [a, b] = [candidate(), candidate()];
  await enter(a);
  await store.join(b);
  const switchSeenBy = async (leaseId: string) => {
    const { databaseMs, leases } = (await store.renew(leaseId, 0))!;
    const { countsInMs } = leases.find((lease) => lease.leaseId === b.leaseId)!;
    return { countsInMs, switchMs: databaseMs + countsInMs };
  };
  const own = await switchSeenBy(b.leaseId);
  const seen = await switchSeenBy(a.leaseId);
  expect(own.countsInMs).toBeGreaterThan(2_000);
  expect(own.countsInMs).toBeLessThanOrEqual(3_000);
  // A double holds the time to less than a microsecond.
  expect(own.switchMs).toBeCloseTo(seen.switchMs, 2);
  expect(seen.switchMs % 500).toBeCloseTo(250, 2);
  await at(b.leaseId, 'counts_from', '0 seconds');
  const [first] = (await store.renew(a.leaseId, 0))!.leases;
  expect(first!.leaseId).toBe(b.leaseId);
  expect(first!.countsInMs).toBeLessThanOrEqual(0);
});

test('who leaves counts until a switch, cannot extend its lease any more, and is gone after the switch', async () => {
  const ids = createLeaseIds();
  const [leaver, other] = [candidate(ids), candidate()];
  await enter(leaver);
  await enter(other);
  const { databaseMs, leavesInMs } = await store.leave(ids.lowest, ids.highest);
  expect(leavesInMs).toBeGreaterThan(2_400);
  expect(leavesInMs).toBeLessThanOrEqual(3_000);
  await expireIn(leaver.leaseId, '4 seconds');
  expect(await renew(leaver.leaseId, 0)).toHaveLength(2);
  const [row] = await store.readMembers();
  expect(row!.expiresInMs).toBeLessThan(4_000);
  const list = (await store.renew(other.leaseId, 0))!;
  const seen = list.leases.find(({ leaseId }) => leaseId === leaver.leaseId);
  expect(list.databaseMs + seen!.leavesInMs!).toBeCloseTo(databaseMs + leavesInMs, 2);
  await at(leaver.leaseId, 'leaves_at', '0 seconds');
  expect(await renew(leaver.leaseId, 0)).toBeNull();
  expect(await renew(other.leaseId, 0)).toEqual([other.leaseId]);
});

test('who rejoins counts at once if nobody has taken over, and else from a switch on', async () => {
  const ids = createLeaseIds();
  const [first, other] = [candidate(ids), candidate()];
  await enter(first);
  await enter(other);
  await expireAll('-30 seconds');
  const second = candidate(ids);
  const [returned] = (await store.join(second)).leases;
  expect(returned!.countsInMs).toBeLessThanOrEqual(0);

  await enter(candidate());
  await store.renew(second.leaseId, 0);
  await expireIn(second.leaseId, '-1 millisecond');
  const { leases: living } = await store.join(candidate(ids));
  expect(living.at(-1)!.countsInMs).toBeGreaterThan(2_000);
});

test('who only joined since did not take over: after an outage for all, everyone counts at once', async () => {
  const [one, two] = [createLeaseIds(), createLeaseIds()];
  await enter(candidate(one));
  await enter(candidate(two));
  await expireAll('-30 seconds');
  await enter(candidate(one));
  const { leases: living } = await store.join(candidate(two));
  expect(living.map(({ countsInMs }) => countsInMs <= 0)).toEqual([true, true]);
});

test('repeated instance indexes are normal, and operators see who is there', async () => {
  const [old, young] = [candidate(), candidate()];
  await enter({ ...old, instanceGuid: 'g'.repeat(300) });
  await enter(young);
  await store.renew(young.leaseId, 12);
  const view = await store.readMembers();
  expect(view.map((member) => [member.leaseId, member.instanceIndex, member.appsOwned])).toEqual([
    [old.leaseId, 0, 0],
    [young.leaseId, 0, 12],
  ]);
  expect(view[0]!.instanceGuid).toBe('g'.repeat(255));
  const { since, expiresInSecs } = view[0]!;
  expect(since).toBe(new Date(since).toISOString());
  expect(Math.abs(Date.parse(since) - Date.now())).toBeLessThan(60_000);
  expect(expiresInSecs).toBeGreaterThan(0);
  expect(expiresInSecs).toBeLessThanOrEqual(10);
  expect(String(expiresInSecs)).toMatch(/^\d+(\.\d)?$/);
});

test('20 members that join at once all see everybody by their second renewal', async () => {
  const candidates = Array.from({ length: 20 }, () => candidate());
  await Promise.all(candidates.map((each) => store.join(each)));
  await Promise.all(candidates.map((each) => store.renew(each.leaseId, 0)));
  const views = await Promise.all(candidates.map((each) => store.renew(each.leaseId, 0)));
  for (const view of views) expect(view?.leases).toHaveLength(20);
});

test('a row that stays locked ends the renewal in the server before the client gives up', async () => {
  const a = candidate();
  await enter(a);
  const client = await db.database.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from eventgenerator_member for update');
    await expect(store.renew(a.leaseId, 0)).rejects.toMatchObject({ code: '55P03' });
    const late = candidate();
    expect((await store.join(late)).leases).toHaveLength(2);
  } finally {
    await client.query('rollback');
    client.release();
  }
});

test('a connection on which nothing comes back rejects at the deadline', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket));
  const port = await listen(silent);
  const statements = poolStatements(`postgres://nobody@127.0.0.1:${port}/nothing?sslmode=disable`);
  try {
    const { leaseId, lowestLeaseId } = candidate();
    await expect(
      createMemberStore(statements, tableNames('act')).leave(lowestLeaseId, leaseId),
    ).rejects.toThrow('1000 ms');
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
    await statements.end();
  }
});

/** Joins and renews once, as a member does. */
async function enter(member: Candidate): Promise<readonly string[] | null> {
  await store.join(member);
  return renew(member.leaseId, 0);
}

/** The ids of the living leases. */
async function renew(leaseId: string, appsOwned: number): Promise<readonly string[] | null> {
  const living = await store.renew(leaseId, appsOwned);
  return living && idsOf(living);
}

function idsOf({ leases }: LeaseList): string[] {
  return leases.map(({ leaseId }) => leaseId);
}

async function at(leaseId: string, column: 'counts_from' | 'leaves_at', interval: string): Promise<void> {
  await db.database.pool.query(
    `update eventgenerator_member set ${column} = statement_timestamp() + $2::interval where lease_id = $1`,
    [leaseId, interval],
  );
}

/** As an outage does. */
async function expireAll(interval: string): Promise<void> {
  await db.database.pool.query(
    `update eventgenerator_member set joined_at = joined_at - interval '1 minute',
       expires_at = statement_timestamp() + $1::interval`,
    [interval],
  );
}

function candidate(ids = createLeaseIds()): Candidate {
  return { leaseId: ids.next(), lowestLeaseId: ids.lowest, instanceGuid: 'guid', instanceIndex: 0 };
}

async function expireIn(leaseId: string, interval: string): Promise<void> {
  await db.database.pool.query(
    'update eventgenerator_member set expires_at = statement_timestamp() + $2::interval where lease_id = $1',
    [leaseId, interval],
  );
}

async function leaseIdsInTable(): Promise<string[]> {
  const { rows } = await db.database.pool.query<{ lease_id: string }>(
    'select lease_id::text from eventgenerator_member order by 1',
  );
  return rows.map((row) => row.lease_id);
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(address !== null && typeof address === 'object' ? address.port : 0);
    });
  });
}

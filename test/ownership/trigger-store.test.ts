import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { claimIdOf, createLeaseIds } from '../../src/ownership/lease-id.js';
import {
  createTriggerStore,
  type ClaimRequest,
  type TriggerStore,
} from '../../src/ownership/trigger-store.js';
import { tableNames } from '../../src/database/table-names.js';
import { createOwnershipDatabase, type OwnershipDatabase } from './tables.js';

let db: OwnershipDatabase;
let store: TriggerStore;
beforeAll(async () => {
  db = await createOwnershipDatabase();
  store = createTriggerStore(db.statements, tableNames('act'));
});
afterAll(() => db.close());
beforeEach(() => db.database.pool.query('truncate eventgenerator_trigger'));

const intervalMs = 40_000;
const mine = claimsOf(createLeaseIds().next());
const others = claimsOf(createLeaseIds().next());

test('20 members that claim one app at once: exactly one may post', async () => {
  for (let cycle = 0; cycle < 5; cycle++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        store.claim({
          ...request(),
          appId: `app-${cycle}`,
          claimId: claimsOf(createLeaseIds().next()).next(),
        }),
      ),
    );
    expect(answers.filter((answer) => answer.granted)).toHaveLength(1);
  }
});

test('also where the row exists already', async () => {
  await store.claim(request());
  await age('posted_at', '41 seconds');
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      store.claim({ ...request(), claimId: claimsOf(createLeaseIds().next()).next() }),
    ),
  );
  expect(answers.filter((answer) => answer.granted)).toHaveLength(1);
});

test('a claim is refused until the last post is as old as the interval', async () => {
  expect(await store.claim(request())).toEqual({ granted: true });
  await age('posted_at', '39 seconds');
  const refused = await store.claim(request({ claimId: others.next() }));
  expect(refused).toMatchObject({ granted: false, blocks: { coolDownMs: 0 } });
  if (!refused.granted) expect(refused.postedMs).toBeGreaterThan(0);
  await age('posted_at', '1 second');
  expect(await store.claim(request({ claimId: others.next() }))).toEqual({ granted: true });
});

test('a cool-down holds back everybody, and outlives its owner', async () => {
  const claimId = mine.next();
  await store.claim(request({ claimId }));
  const coolDownUntilMs = Date.now() + 300_000;
  await store.complete({ appId: 'app', claimId, direction: 'out', coolDownUntilMs, ignoredForMs: null });
  await age('posted_at', '1 minute');
  for (const claimant of [mine.next(), others.next()]) {
    const refused = await store.claim(request({ claimId: claimant, direction: 'in' }));
    expect(refused.granted).toBe(false);
    if (!refused.granted) expect(Math.abs(refused.blocks.coolDownMs - 300_000)).toBeLessThan(5_000);
  }
  await age('cool_down_until', '301 seconds');
  expect(await store.claim(request())).toEqual({ granted: true });
});

test('a back-off holds back its own direction, and only members that did not write it', async () => {
  const claimId = mine.next();
  await store.claim(request({ claimId }));
  await store.complete({
    appId: 'app',
    claimId,
    direction: 'in',
    coolDownUntilMs: null,
    ignoredForMs: 600_000,
  });
  await age('posted_at', '1 minute');
  const refused = await store.claim(request({ claimId: others.next(), direction: 'in' }));
  expect(refused).toMatchObject({ granted: false, postedMs: expect.any(Number) });
  if (!refused.granted) {
    expect(refused.blocks.ignoredInMs).toBeGreaterThan(590_000);
    expect(refused.blocks.ignoredOutMs).toBe(0);
    expect(refused.postedMs).toBeLessThan(0);
  }
  expect(await store.claim(request({ claimId: mine.next(), direction: 'in' }))).toEqual({ granted: true });
  await age('posted_at', '1 minute');
  expect(await store.claim(request({ claimId: others.next(), direction: 'out' }))).toEqual({ granted: true });
});

test('a scaling action ends both back-offs, another answer only that of its direction', async () => {
  const completion = { appId: 'app', claimId: mine.next(), coolDownUntilMs: null };
  await store.complete({ ...completion, direction: 'in', ignoredForMs: 600_000 });
  await store.complete({ ...completion, direction: 'out', ignoredForMs: 120_000 });
  await store.complete({ ...completion, direction: 'in', ignoredForMs: null });
  const before = (await store.readBlocks(['app'])).get('app');
  expect(before?.ignoredInMs).toBe(0);
  expect(before?.ignoredOutMs).toBeGreaterThan(110_000);
  const coolDownUntilMs = Date.now() + 60_000;
  await store.complete({ ...completion, direction: 'in', coolDownUntilMs, ignoredForMs: null });
  expect((await store.readBlocks(['app'])).get('app')?.ignoredOutMs).toBe(0);
});

test('an answer without a claim records the post', async () => {
  await store.complete({
    appId: 'app',
    claimId: mine.next(),
    direction: 'out',
    coolDownUntilMs: null,
    ignoredForMs: null,
  });
  expect((await store.claim(request({ claimId: others.next() }))).granted).toBe(false);
});

test('an answer that is recorded late counts, unless another member has posted since', async () => {
  const claimId = mine.next();
  await store.claim(request({ claimId }));
  const coolDownUntilMs = Date.now() + 300_000;
  const late = { appId: 'app', direction: 'out', coolDownUntilMs, ignoredForMs: null, isLate: true } as const;
  await store.complete({ ...late, claimId: mine.next() });
  expect((await store.readBlocks(['app'])).get('app')?.coolDownMs).toBeGreaterThan(290_000);

  await store.claim(request({ appId: 'other', claimId: others.next() }));
  await store.complete({ ...late, appId: 'other', claimId: mine.next() });
  expect(await store.readBlocks(['other'])).toEqual(new Map());
  await store.complete({ ...late, appId: 'unknown', claimId: mine.next() });
  expect((await store.readBlocks(['unknown'])).size).toBe(1);
});

test('a claim whose answer was lost is granted again to who asks under the same id, and to nobody else', async () => {
  const claim = request();
  await store.claim(claim);
  await age('posted_at', '3 seconds');
  expect((await store.claim(request())).granted).toBe(false);
  expect((await store.claim(claim)).granted).toBe(true);
  await age('posted_at', '39 seconds');
  expect((await store.claim(request())).granted).toBe(false);
});

test('no stored time silences an app for more than an hour, whatever a clock shows', async () => {
  const claimId = mine.next();
  const coolDownUntilMs = Date.now() + 24 * 3_600_000;
  await store.complete({ appId: 'app', claimId, direction: 'out', coolDownUntilMs, ignoredForMs: 1e9 });
  const blocks = (await store.readBlocks(['app'])).get('app');
  expect(blocks?.coolDownMs).toBeLessThanOrEqual(3_600_000);
  expect(blocks?.ignoredOutMs).toBeLessThanOrEqual(3_600_000);
  for (const column of ['posted_at', 'cool_down_until', 'ignored_out_until']) await age(column, '-2 hours');
  expect(await store.claim(request({ claimId: others.next() }))).toEqual({ granted: true });
});

test('known blocks are read for many apps at once, running ones only', async () => {
  const completion = { claimId: mine.next(), direction: 'out', ignoredForMs: null } as const;
  await store.complete({ ...completion, appId: 'cooling', coolDownUntilMs: Date.now() + 60_000 });
  await store.complete({ ...completion, appId: 'over', coolDownUntilMs: Date.now() - 60_000 });
  await store.complete({ ...completion, appId: 'foreign', coolDownUntilMs: Date.now() + 60_000 });
  const many = Array.from({ length: 50_000 }, (_, i) => `app-${i}`);
  const blocks = await store.readBlocks(['cooling', 'over', ...many]);
  expect([...blocks.keys()]).toEqual(['cooling']);
});

test('a row that stays locked ends the claim in the server before the client gives up', async () => {
  await store.claim(request());
  const client = await db.database.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from eventgenerator_trigger for update');
    await expect(store.claim(request())).rejects.toMatchObject({ code: '55P03' });
  } finally {
    await client.query('rollback');
    client.release();
  }
});

test('rows that held nothing back for a day are removed', async () => {
  await store.claim(request({ appId: 'app' }));
  await age('posted_at', '25 hours');
  await store.claim(request({ appId: 'fresh' }));
  await store.prune();
  const { rows } = await db.database.pool.query('select app_id from eventgenerator_trigger');
  expect(rows).toEqual([{ app_id: 'fresh' }]);
});

function request(changes: Partial<ClaimRequest> = {}): ClaimRequest {
  return { appId: 'app', direction: 'out', claimId: mine.next(), intervalMs, ...changes };
}

/** The ids of one process's claims. */
function claimsOf(leaseId: string): { next(): string } {
  let count = 0;
  return { next: () => claimIdOf(leaseId, count++) };
}

/** Lets time pass for one column, by moving what it holds into the past. */
async function age(column: string, interval: string): Promise<void> {
  await db.database.pool.query(
    `update eventgenerator_trigger set ${column} = ${column} - $1::interval where app_id = 'app'`,
    [interval],
  );
}

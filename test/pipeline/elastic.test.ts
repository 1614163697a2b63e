import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { phaseOf } from '../../src/schedule/phases.js';
import { ask } from '../platform/client.js';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { storedRows, type StoredRow } from './audit.js';
import { policyOf, when } from './policies.js';
import { killProcesses, startProcess, type EventgeneratorProcess, type LoggedLine } from './process.js';

/*
 * Elastic ownership as an operator runs it: processes that come, go and die. Their leases run by the database's clock,
 * so that time passes here as it does in life.
 */

// A bound for what hangs: three processes start one after the other, and time is not hurried.
jest.setTimeout(360_000);

/** Long enough that a busy machine costs no cycle. */
const intervalSecs = 6;
const apps = Array.from({ length: 20 }, (_, i) => `app-${i}`);
/** Their load is above the threshold all the time. */
const busyApps = new Set(apps.slice(0, 5));
const idleApps = apps.filter((app) => !busyApps.has(app));

interface Member extends EventgeneratorProcess {
  readonly config: WrittenConfig;
}

interface MemberJson {
  readonly lease_id: string;
  readonly apps_owned: number;
}

let folder: string;
let platform: Platform;
let database: TestDatabase;
let started = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'elastic-'));
});
beforeEach(async () => {
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  platform = await startPlatform({
    apps: apps.map((guid) => ({
      guid,
      tickSecs: 1,
      load: constantLoad({ cpuPercent: busyApps.has(guid) ? 1_000 : 50 }),
    })),
  });
});
afterEach(async () => {
  killProcesses();
  await platform.stop();
  await database.drop();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function usePolicies(breachDurationSecs: number): Promise<void> {
  const policy = policyOf(
    when('cpu > 80', '+1', { breach_duration_secs: breachDurationSecs, cool_down_secs: 300 }),
  );
  await insertPolicies(
    database.pool,
    apps.map((guid) => [guid, policy]),
  );
}

/** Nobody can read policies until the returned function was called. */
async function lockPolicies(): Promise<() => Promise<void>> {
  const client = await database.pool.connect();
  await client.query('begin; lock table policy_json in access exclusive mode');
  return async () => {
    await client.query('rollback');
    client.release();
  };
}

function isSwitchTo(members: number): (line: LoggedLine) => boolean {
  return ({ message, data }) =>
    message === 'eventgenerator.ownership.members-changed' && data['members'] === members;
}

async function startMember(): Promise<Member> {
  const member = await beginMember();
  await member.logged('eventgenerator.started');
  return member;
}

/** Does not wait until it is ready. */
async function beginMember(): Promise<Member> {
  const config = await writeEventgeneratorConfig(join(folder, `eventgenerator-${started++}.yml`), {
    platform,
    policyDbUrl: database.url,
    collectionIntervalSecs: intervalSecs,
    evaluationIntervalSecs: intervalSecs,
    saveIntervalSecs: 1,
    statWindowSecs: 60,
  });
  const member = startProcess(['-c', config.file], { EVENTGENERATOR_POOL_MODE: 'elastic' });
  return { ...member, config };
}

async function membersSeenBy({ config }: Member): Promise<readonly MemberJson[]> {
  const { ca, cert, key } = config.certificates;
  const tls = {
    ca: await readFile(ca, 'utf8'),
    cert: await readFile(cert, 'utf8'),
    key: await readFile(key, 'utf8'),
  };
  const answer = await ask(`https://127.0.0.1:${config.ports.api}/v1/members`, tls);
  expect(answer.status).toBe(200);
  return (JSON.parse(answer.body) as { members: MemberJson[] }).members;
}

/** Resolves when these members, and nobody else, share all apps. */
async function sharedBy(...fleet: readonly [Member, ...Member[]]): Promise<readonly MemberJson[]> {
  return eventually(`apps shared by ${fleet.length}`, async () => {
    const members = await membersSeenBy(fleet[0]);
    const owned = members.reduce((sum, member) => sum + member.apps_owned, 0);
    const everybodyHasSome = members.every((member) => member.apps_owned > 0);
    return members.length === fleet.length && everybodyHasSome && owned === apps.length && members;
  });
}

function turnOf({ appId, timestampNs }: StoredRow): number {
  const intervalMs = intervalSecs * 1_000;
  return Math.floor((Number(timestampNs / 1_000_000n) - phaseOf(appId, intervalMs)) / intervalMs);
}

/**
 * Resolves when every app has a row that is newer than now; to the newest turn of which all have theirs. Some may have had
 * it before now, when members that start at the same moment did not know of each other and each made it: the next turn is
 * the first that is wholly later.
 */
async function everyAppCollected(): Promise<number> {
  const sinceNs = BigInt(Date.now()) * 1_000_000n;
  const fresh = await eventually('a row of every app', async () => {
    const rows = await storedRows(database, { sinceNs });
    return new Set(rows.map(({ appId }) => appId)).size === apps.length && rows;
  });
  return Math.min(...apps.map((app) => Math.min(...fresh.filter(({ appId }) => appId === app).map(turnOf))));
}

/** Turns between the two that nobody made, and those that somebody made again; busy apps have additional cycles. */
async function irregular(from: number, to: number): Promise<{ missed: string[]; twice: string[] }> {
  const rows = await storedRows(database);
  const made = new Map<string, number>();
  for (const row of rows) {
    const turn = `${row.appId} ${turnOf(row)}`;
    made.set(turn, (made.get(turn) ?? 0) + 1);
  }
  const wanted = idleApps.flatMap((app) => Array.from({ length: to - from }, (_, i) => `${app} ${from + i}`));
  return {
    missed: wanted.filter((turn) => !made.has(turn)),
    twice: wanted.filter((turn) => (made.get(turn) ?? 0) > 1),
  };
}

test('members share the apps; who joins and who leaves by SIGTERM costs no cycle', async () => {
  await usePolicies(3600);
  const [first, second] = await Promise.all([startMember(), startMember()]);
  await sharedBy(first, second);
  const from = (await everyAppCollected()) + 1;

  // It counts before it can read any policy, and makes up for the cycles that it missed meanwhile.
  const unlock = await lockPolicies();
  const third = await beginMember();
  await eventually('a switch to three', () => third.lines().some(isSwitchTo(3)));
  await unlock();
  await third.logged('eventgenerator.started');
  const members = await sharedBy(first, second, third);
  expect(new Set(members.map(({ lease_id }) => lease_id)).size).toBe(3);
  first.kill('SIGTERM');
  expect(await first.ended).toBe(0);
  await sharedBy(second, third);
  const to = await everyAppCollected();
  expect(await irregular(from, to)).toEqual({ missed: [], twice: [] });

  const shown = startProcess(['members', '-c', second.config.file]);
  expect(await shown.ended).toBe(0);
  expect(shown.output).toHaveLength(3);
  expect(shown.output[0]).toMatch(/INDEX +INSTANCE +LEASE +SINCE +APPS +EXPIRES IN/);
  for (const member of [second, third]) member.kill('SIGTERM');
  expect(await Promise.all([second.ended, third.ended])).toEqual([0, 0]);
});

test('the apps of a member that is killed go to the others, who know what it knew, and nobody is scaled twice', async () => {
  await usePolicies(20);
  const [first, second, third] = await Promise.all([startMember(), startMember(), startMember()]);
  await sharedBy(first, second, third);
  second.kill('SIGKILL');
  expect(await second.ended).toBe('SIGKILL');
  await sharedBy(first, third);
  const { books } = platform;
  await books.until(() => [...busyApps].every((app) => books.triggersOf(app).length > 0));
  const from = (await everyAppCollected()) + 1;
  await everyAppCollected();
  const to = await everyAppCollected();
  expect(await irregular(from, to)).toEqual({ missed: [], twice: [] });
  expect(apps.filter((app) => books.triggersOf(app).length > 0)).toEqual([...busyApps]);
  expect([...busyApps].map((app) => books.triggersOf(app).map(({ result }) => result))).toEqual(
    Array.from(busyApps, () => ['scaled']),
  );
  for (const member of [first, third]) {
    expect(member.lines().filter(({ level }) => level === 'error')).toEqual([]);
    member.kill('SIGTERM');
    expect(await member.ended).toBe(0);
  }
});

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableNames } from '../../src/database/table-names.js';
import { ask } from '../platform/client.js';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { eventually } from '../support/eventually.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { policyOf, when } from './policies.js';
import { killProcesses, startProcess, type EventgeneratorProcess } from './process.js';

/*
 * Observers beside a fleet that acts, both elastic, as an operator runs them: processes with the same configuration. The
 * observers' database user has no right to any table of the acting fleet, so that whatever they did to one would fail.
 */

jest.setTimeout(300_000);

const apps = Array.from({ length: 8 }, (_, i) => `app-${i}`);
const busy = 'app-0';
const observe = { EVENTGENERATOR_MODE: 'observe' };

let folder: string;
let platform: Platform;
let database: TestDatabase;
let user: string;
let started = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'observing-'));
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  const policy = policyOf(when('cpu > 80', '+1', { breach_duration_secs: 8, cool_down_secs: 3_600 }));
  await insertPolicies(
    database.pool,
    apps.map((guid) => [guid, policy]),
  );
  user = `observer_${Date.now()}`;
  await database.pool.query(`create user ${user}; grant select on policy_json to ${user}`);
  platform = await startPlatform({
    apps: apps.map((guid) => ({
      guid,
      tickSecs: 1,
      load: constantLoad({ cpuPercent: guid === busy ? 1_000 : 50 }),
    })),
  });
});
afterEach(async () => {
  killProcesses();
  await platform.stop();
  await database.pool.query(`drop owned by ${user}; drop user ${user}`);
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Member extends EventgeneratorProcess {
  readonly config: WrittenConfig;
}

function writeConfig(databaseUrl: string): Promise<WrittenConfig> {
  return writeEventgeneratorConfig(join(folder, `eventgenerator-${started++}.yml`), {
    platform,
    policyDbUrl: databaseUrl,
    collectionIntervalSecs: 2,
    evaluationIntervalSecs: 2,
    saveIntervalSecs: 1,
    statWindowSecs: 60,
  });
}

async function startMember(databaseUrl: string, env: NodeJS.ProcessEnv = {}): Promise<Member> {
  const config = await writeConfig(databaseUrl);
  const member = startProcess(['-c', config.file], { EVENTGENERATOR_POOL_MODE: 'elastic', ...env });
  await member.logged('eventgenerator.started');
  return { ...member, config };
}

interface MembersJson {
  readonly observer: boolean;
  readonly members: readonly { readonly lease_id: string; readonly apps_owned: number }[];
}

/** Resolves when as many members share all apps. */
function sharedBy(count: number, { config }: Member): Promise<MembersJson> {
  return eventually(
    `apps shared by ${count}`,
    async () => {
      const { ca, cert, key } = config.certificates;
      const [caText, certText, keyText] = await Promise.all(
        [ca, cert, key].map((file) => readFile(file, 'utf8')),
      );
      const answer = await ask(`https://127.0.0.1:${config.ports.api}/v1/members`, {
        ca: String(caText),
        cert: String(certText),
        key: String(keyText),
      });
      const found = JSON.parse(answer.body) as MembersJson;
      const owned = found.members.reduce((sum, member) => sum + member.apps_owned, 0);
      return found.members.length === count && owned === apps.length && found;
    },
    60_000,
  );
}

/** The output of a command, and its exit code. */
async function run(
  config: WrittenConfig,
  args: readonly string[],
  env = {},
): Promise<[string, number | string]> {
  const command = startProcess([...args, '-c', config.file], env);
  const code = await command.ended;
  return [command.output.join('\n'), code];
}

async function relations(): Promise<string[]> {
  const { rows } = await database.pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace order by 1`,
  );
  return rows.map(({ name }) => name);
}

async function column(sql: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ value: string }>(sql);
  return rows.map(({ value }) => value);
}

test('observers share the apps among themselves, decide as the fleet does, and leave no trace', async () => {
  const operator = await writeConfig(database.url);
  expect(await run(operator, ['migrate'])).toEqual([
    expect.stringMatching(/^created eventgenerator_member, /),
    0,
  ]);
  const before = await relations();
  expect(await run(operator, ['migrate'], observe)).toEqual([
    expect.stringMatching(/^created eventgenerator_observed, /),
    0,
  ]);
  const own = Object.values(tableNames('observe')).join(', ');
  await database.pool.query(`grant select, insert, update, delete on ${own} to ${user}`);

  const limited = new URL(database.url);
  limited.username = user;
  const acting = await startMember(database.url);
  const [observing, other] = await Promise.all([
    startMember(limited.href, observe),
    startMember(limited.href, observe),
  ]);
  const [actors, observers] = await Promise.all([sharedBy(1, acting), sharedBy(2, observing)]);
  expect([actors.observer, observers.observer]).toEqual([false, true]);

  await platform.books.until(() => platform.books.triggersOf(busy).length > 0);
  const wouldScale = await Promise.race(
    [observing, other].map((member) => member.logged('eventgenerator.evaluation.would-scale')),
  );
  expect(wouldScale.data).toMatchObject({ observer: true, appId: busy });
  expect(platform.books.triggersOf(busy)).toMatchObject([{ result: 'scaled' }]);

  const [lease = ''] = actors.members.map(({ lease_id }) => lease_id);
  expect(await column('select lease_id::text as value from eventgenerator_member')).toEqual([lease]);
  const posted = await column('select posted_by::text as value from eventgenerator_trigger');
  expect(posted.map((id) => id.slice(0, 18))).toEqual([lease.slice(0, 18)]);
  expect(await column('select distinct lease_id::text as value from eventgenerator_decision')).toEqual([
    lease,
  ]);
  expect(await column('select distinct app_id as value from eventgenerator_observed order by 1')).toEqual(
    apps,
  );
  // Wherever an observer had touched a table of the fleet there would be an error.
  for (const member of [acting, observing, other]) {
    expect(member.lines().filter(({ level }) => level === 'error')).toEqual([]);
  }

  const metrics = await fetch(`http://127.0.0.1:${observing.config.ports.health}/health`);
  expect(await metrics.text()).toMatch(/build_info\{version="[^"]+",mode="observe"\} 1/);
  expect((await run(observing.config, ['members'], observe))[0]).toMatch(
    /^Observers, which post nothing:\nINDEX/,
  );
  expect((await run(observing.config, ['explain', busy], observe))[0]).toContain('This is an observer');
  expect((await run(acting.config, ['explain', busy]))[0]).not.toContain('observer');

  expect(await run(operator, ['migrate', '--drop-observed'])).toEqual([
    'nothing was removed: observers are running (2) and would create the tables again. Stop them first.',
    1,
  ]);
  for (const member of [observing, other]) member.kill('SIGTERM');
  expect(await Promise.all([observing.ended, other.ended])).toEqual([0, 0]);
  expect(await run(operator, ['migrate', '--drop-observed'])).toEqual([
    expect.stringMatching(/^removed /),
    0,
  ]);
  expect(await relations()).toEqual(before);
  acting.kill('SIGTERM');
  expect(await acting.ended).toBe(0);
});

test('without the right to create tables everything else goes on, and no restart is needed when they are there', async () => {
  await database.pool.query('revoke create on schema public from public');
  const limited = new URL(database.url);
  limited.username = user;
  const observing = await startMember(limited.href, observe);
  const { data } = await observing.logged('eventgenerator.observed.tables-missing');
  expect((await observing.logged('eventgenerator.ownership.static-instead')).data).toMatchObject({
    totalInstances: 1,
  });
  await observing.logged('eventgenerator.evaluation.would-scale');
  expect(platform.books.triggersOf(busy)).toEqual([]);

  await database.pool.query(String(data['sql']));
  await eventually(
    'observed app metrics',
    async () =>
      (await column('select distinct app_id as value from eventgenerator_observed')).length === apps.length,
    60_000,
  );
  observing.kill('SIGTERM');
  expect(await observing.ended).toBe(0);
});

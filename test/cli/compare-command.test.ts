import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { compareCommand } from '../../src/cli/compare-command.js';
import { parseCommandLine } from '../../src/cli/command-line.js';
import type { ReplayConfig } from '../../src/cli/replay-config.js';
import { migrate } from '../../src/database/migrations.js';
import { outcomeOf, replayConfigOf } from './replay-commands.js';
import { policyOf, when } from '../pipeline/policies.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { openTestDatabases } from '../support/database-config.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

const toMs = Date.UTC(2026, 10, 27, 18);
const trust = { systemBundle: '/nowhere' };
const policy = policyOf(when('cpu > 80', '+1'), when('cpu < 20', '-1'), when('memoryutil > 90', '+1'));

let database: TestDatabase;
let config: ReplayConfig;
beforeAll(async () => {
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicies(database.pool, [
    ['alike', policy],
    ['large', policy],
    ['broken', []],
    ['schedules-only', { schedules: {} }],
  ]);
  config = replayConfigOf(database.url);
});
afterAll(() => database.drop());

/** What the command writes, and its exit code. */
async function told(...args: string[]): Promise<{ readonly code: number; readonly text: string }> {
  const command = parseCommandLine(['compare', ...args]);
  if (command.name !== 'compare') throw new Error(`is ${command.name}`);
  return outcomeOf(() => compareCommand(config, trust, command, { now: () => toMs }));
}

test('without observers there is nothing to compare', async () => {
  await expect(told()).rejects.toThrow(
    'there is no table eventgenerator_observed: no observer has run here yet',
  );
  const databases = await openTestDatabases(database.url);
  await migrate(databases, { mode: 'observe', all: false }).finally(() => databases.close());
  await expect(told()).rejects.toThrow('observers have stored nothing in this time');
});

test('a policy without rules has nothing to compare', async () => {
  await expect(told('--app', 'schedules-only')).rejects.toThrow(
    'the policy of schedules-only has no rules to compare',
  );
});

/** Every 40 s of two hours, by the acting fleet, and 15 s later by observers. */
async function record(app: string, metricType: string, theirs: string, ours: string): Promise<void> {
  for (const [table, value, laterSecs] of [
    ['app_metric', theirs, 0],
    ['eventgenerator_observed', ours, 15],
  ] as const) {
    await database.pool.query(
      `insert into ${table}
       select $1, $2, '%', (${toMs}::bigint - ahead * 1000 + ${laterSecs} * 1000) * 1000000, $3
       from generate_series(40, 7200, 40) ahead`,
      [app, metricType, value],
    );
  }
}

test('apps that are alike end with exit code 0, others with 3 and their cause', async () => {
  await record('alike', 'cpu', '50', '51');
  await record('alike', 'memoryutil', '40', '40');
  expect(await told('--app', 'alike')).toEqual({
    code: 0,
    text: [
      'alike  alike',
      '  cpu: 179 against 180 app metrics; median 2 %, largest 2 %, 0 % of them above 10 %',
      '  memoryutil: 179 against 180 app metrics; median 0 %, largest 0 %, 0 % of them above 10 %',
      '  scalings: 0 of the acting fleet, 0 of observers, 0 in common',
      '1 app, 1 alike; 0 differ',
      '',
    ].join('\n'),
  });

  await record('large', 'cpu', '50', '90');
  await record('large', 'memoryutil', '8', '7');
  await database.pool.query(
    `insert into eventgenerator_observed
     select 'large', 'containers:' || kind, '', ${toMs - 8_000_000}::bigint * 1000000, count
     from (values ('web', '8'), ('others', '0')) as counts (kind, count)`,
  );
  const { code, text } = await told('--since', '3h');
  expect(code).toBe(3);
  expect(text).toContain(
    [
      'large  more than 6 instances: a read of the oldest 100 envelopes does not hold all',
      '  cpu: 179 against 180 app metrics; median 44 %, largest 44 %, 100 % of them above 10 %; first at 2026-11-27 16:00:15: 50 against 90 (more than 6 instances: a read of the oldest 100 envelopes does not hold all)',
      '  memoryutil: 179 against 180 app metrics; median 13 %, largest 13 %, 100 % of them above 10 %; first at 2026-11-27 16:00:15: 8 against 7 (a percentage was rounded up once too often)',
      '  scalings: 0 of the acting fleet, 2 of observers, 0 in common',
      '  only of observers: 2026-11-27 16:02:55 8 → 9 (rule 1), 2026-11-27 16:08:15 9 → 10 (rule 1)',
      '2 apps, 1 alike; 1 differ: 1 more-than-6-instances',
      '',
    ].join('\n'),
  );
});

test('machines get an object for each app, and one for all', async () => {
  const { code, text } = await told('--json');
  const objects = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly app_id?: string });
  expect(code).toBe(3);
  expect(objects.find(({ app_id }) => app_id === 'large')).toMatchObject({
    alike: false,
    cause: 'more-than-6-instances',
    metrics: [
      {
        metric_type: 'cpu',
        points: { acting: 179, observed: 180 },
        share_above_10_percent: 1,
        first_difference: { acting: '50', observed: '90' },
        cause: 'more-than-6-instances',
      },
      { cause: 'percentage-rounding' },
    ],
    scalings: { acting: [], observed: [{ from: 8, to: 9, rule: 1, value: '90' }, { to: 10 }] },
    difference: { common: 0, only_acting: [] },
  });
  expect(objects.at(-1)).toEqual({
    summary: { apps: 2, alike: 1, different: 1, causes: { 'more-than-6-instances': 1 } },
  });
  await expect(told('--app', 'broken')).rejects.toThrow('the policy of broken cannot be used');
  await expect(told('--app', 'nobody')).rejects.toThrow('nobody has no policy');
});

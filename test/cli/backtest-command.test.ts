import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backtestCommand } from '../../src/cli/backtest-command.js';
import type { ReplayConfig } from '../../src/cli/replay-config.js';
import { parseCommandLine } from '../../src/cli/command-line.js';
import { outcomeOf, replayConfigOf } from './replay-commands.js';
import { policyOf, when } from '../pipeline/policies.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

const toMs = Date.UTC(2026, 10, 27, 18);
const minute = 60_000;
const trust = { systemBundle: '/nowhere' };
const policy = {
  ...policyOf(when('cpu > 80', '+1'), when('cpu < 20', '-1', { cool_down_secs: 120 })),
  instance_max_count: 3,
};

let database: TestDatabase;
let folder: string;
let config: ReplayConfig;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'backtest-'));
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicies(database.pool, [
    ['busy', policy],
    ['calm', policy],
    ['broken', []],
    ['schedules-only', { schedules: {} }],
    ['new', policy],
  ]);
  // Every 40 s of two hours: an hour at 90 % with a gap of ten minutes, then 10 %. And before all of that 90 % as well.
  await database.pool.query(
    `insert into app_metric
     select app, 'cpu', '%', (${toMs}::bigint - ahead * 1000) * 1000000,
       case when app = 'calm' then '50' when ahead = 3600 then '' when ahead > 3600 then '90' else '10' end
     from generate_series(40, 7600, 40) ahead, unnest(array['busy', 'calm']) app
     where ahead not between 4000 and 4600`,
  );
  config = replayConfigOf(database.url);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true });
});

/** What the command with these arguments writes. */
async function told(...args: string[]): Promise<string> {
  const command = parseCommandLine(['backtest', '--since', '2h', ...args]);
  if (command.name !== 'backtest') throw new Error(`is ${command.name}`);
  const { code, text } = await outcomeOf(() => backtestCommand(config, trust, command, { now: () => toMs }));
  expect(code).toBe(0);
  return text;
}

async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

interface Trial {
  readonly name: string;
  readonly instances_at_start: number;
  readonly scalings: readonly { readonly at: string; readonly from: number; readonly to: number }[];
}

const ago = (ms: number) => new Date(toMs - ms).toISOString();

describe('one app', () => {
  test('is told for machines, with every scaling', async () => {
    const result = JSON.parse(await told('--app', 'busy', '--json')) as { readonly policy: Trial };
    expect(result).toMatchObject({
      app_id: 'busy',
      from: ago(120 * minute),
      to: ago(0),
      collection_interval_secs: 40,
      loop: 'open',
      cycles: 164,
      median_distance_secs: 40,
      gaps: [{ from: ago(4_640_000), to: ago(3_960_000) }],
      metrics: [{ metric_type: 'cpu', app_metrics: 164, no_data: 1 }],
      policy: {
        name: 'current',
        instance_min_count: 1,
        instance_max_count: 3,
        instances_at_start: 1,
        scaled_out: 2,
        scaled_in: 2,
        reversed_within_15_min: 0,
        rejected_triggers: 0,
        metric_types_without_values: [],
      },
      against: null,
      difference: null,
    });
    // At once, because the time before was read too; again after the cool-down; in after a breach duration at 10 %.
    expect(result.policy.scalings).toMatchObject([
      { at: ago(7_200_000), from: 1, to: 2, rule: 1, value: '90', unit: '%', threshold: '80' },
      { at: ago(6_880_000), from: 2, to: 3, rule: 1 },
      { at: ago(3_440_000), from: 3, to: 2, rule: 2, value: '10' },
      { at: ago(3_320_000), from: 2, to: 1, rule: 2 },
    ]);
  });

  test('is told for people, with a chart and what to doubt', async () => {
    const text = await told('--app', 'busy');
    expect(text).toContain(
      [
        'app   busy',
        'time  2026-11-27 16:00:00 to 2026-11-27 18:00:00 UTC: 164 cycles, 40 s apart; 1 gap of 11 min 20 s in all',
        'loop  open: the values are those of the real number of instances, which is not recorded',
        'but   nothing was recorded from 16:42:40 to 16:54:00 (11 min 20 s)',
        '',
        'POLICY   LIMITS  START  OUT  IN  REVERSED  INSTANCE-HOURS  IN BREACH AT MAX  AT MIN',
        'current  1-3     1      2    2   0         ',
      ].join('\n'),
    );
    expect(text).toContain('  2026-11-27 16:00:00  1 → 2  rule 1: cpu > 80 % for 120 s, 90 %\n');
    expect(text).toMatch(
      /\ncpu, the highest of each 1 min 40 s, with a threshold of 80\n(.*\n){5}▲ +▲ +▼▼\n$/,
    );
  });

  test('is compared with another policy', async () => {
    const slow = await file('slow.json', policyOf(when('cpu > 80', '+1', { cool_down_secs: 3_600 })));
    const text = await told('--app', 'busy', '--policy', slow, '--against', 'current');
    expect(text).toMatch(/^slow.json {2}1-10 {4}1 {6}1 {4}0 {3}0 /m);
    expect(text).toContain('difference: 1 scaling in common, 0 only with slow.json, 3 only with current\n');
  });

  test('is replayed in a closed loop where the real numbers of instances are known', async () => {
    const entry = {
      status: 0,
      timestamp: (toMs - 7_000_000) * 1_000_000,
      old_instances: 2,
      new_instances: 3,
    };
    const history = await file('history.json', { total_pages: 1, resources: [entry] });
    const result = JSON.parse(await told('--app', 'busy', '--history', history, '--json')) as {
      readonly policy: Trial;
    };
    expect(result).toMatchObject({ loop: 'closed', load_model_applies_to: ['cpu'] });
    expect(result.policy.instances_at_start).toBe(2);
    const text = await told('--app', 'busy', '--history', history);
    expect(text).toContain('loop  closed for cpu: their load is shared among the instances of the replay');
  });

  test('is drawn', async () => {
    const svg = join(folder, 'chart.svg');
    await told('--app', 'busy', '--svg', svg, '--against', await file('a<b.json', policy));
    const drawing = await readFile(svg, 'utf8');
    expect(drawing).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" viewBox="0 0 882 \d+"/);
    for (const title of [
      'rule 1: cpu &#62; 80 % for 120 s',
      'instances with current',
      'instances with a&#60;b.json',
    ]) {
      expect(drawing).toContain(title);
    }
    expect(drawing.match(/class="mark"/g)).toHaveLength(4);
    const open: string[] = [];
    for (const [, end, name = '', isClosed] of drawing.matchAll(/<(\/?)([a-z]+)\b[^>]*?(\/?)>/g)) {
      if (end) expect(open.pop()).toBe(name);
      else if (!isClosed) open.push(name);
    }
    expect(open).toEqual([]);
  });

  test('of which nothing is known leaves nothing but doubts', async () => {
    const memory = await file('memory.json', { scaling_rules: [when('memoryutil > 80', '+1')] });
    const text = await told('--app', 'busy', '--policy', memory);
    expect(text).toContain('but   nothing was recorded of the app in this time\n');
    expect(text).toContain(
      'but   memory.json lacks instance_min_count or instance_max_count: nothing limits it there',
    );
    const both = await told('--app', 'busy', '--policy', memory, '--against', 'current');
    expect(both).toContain('but   memory.json needs memoryutil, of which nothing was recorded');
  });

  test('without rules is told to have none', async () => {
    const text = await told('--app', 'schedules-only');
    expect(text).toContain('but   there are no rules to replay\n');
    expect(text).not.toContain('nothing was recorded of the app');
  });

  test('is doubtful where schedules have other limits', async () => {
    const schedules = { timezone: 'UTC', recurring_schedule: [{ instance_max_count: 9 }], specific_date: [] };
    const text = await told('--app', 'busy', '--policy', await file('s.json', { ...policy, schedules }));
    expect(text).toContain(
      'but   s.json has schedules: their limits are not played, only those of the policy\n',
    );
    const none = await file('n.json', { ...policy, schedules: { timezone: 'UTC', specific_date: [] } });
    expect(await told('--app', 'busy', '--policy', none)).not.toContain('schedules');
  });

  test('whose app metrics are further apart than configured is doubtful', async () => {
    expect(await told('--app', 'busy', '--interval', '60s')).toContain(
      'but   the interval is taken to be 1 min: --interval 40s says otherwise\n',
    );
  });
});

test('all apps with a policy get a line each', async () => {
  const text = await told('--all');
  const lines = text.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));
  expect(lines[0]).toBe(
    'APP | CYCLES | GAPS | OUT | IN | REVERSED | INSTANCE-HOURS | IN BREACH AT MAX | AT MIN',
  );
  expect(lines.slice(1, 5).sort()).toEqual([
    'broken | the policy of broken cannot be used: it is a list instead of an object',
    expect.stringMatching(/^busy \| 164 \| 1 \| 2 \| 2 \| 0 \| /),
    'calm | 164 | 1 | 0 | 0 | 0 | 2.0 | 0 | 0',
    'new | 0 | 1 | 0 | 0 | 0 | 2.0 | 0 | 0',
  ]);
  expect(lines[5]).toBe(
    '4 apps, 1 could not be tried. Open loop: the values are those of the real number of instances.',
  );
});

test('all apps get an object each, one a line', async () => {
  const other = await file('other.json', policyOf(when('cpu > 40', '+1')));
  const text = await told('--all', '--policy', other, '--against', 'current', '--json');
  const objects = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { app_id: string; difference?: object });
  expect(objects).toHaveLength(4);
  expect(objects.find(({ app_id }) => app_id === 'calm')?.difference).toMatchObject({ common: 0 });
  expect(objects.find(({ app_id }) => app_id === 'broken')).toEqual({
    app_id: 'broken',
    problem: 'the policy of broken cannot be used: it is a list instead of an object',
  });
});

describe('what cannot be used is named', () => {
  test.each([
    [['--app', 'nobody'], /^nobody has no policy$/],
    [['--app', 'broken'], /^the policy of broken cannot be used: it is a list/],
    [['--app', 'busy', '--policy', '/nowhere/p.json'], /^failed to read \/nowhere\/p.json: ENOENT/],
  ])('%j', async (args, message) => {
    await expect(told(...args)).rejects.toThrow(message);
  });

  test('files', async () => {
    const bad = await file('bad.json', '{');
    await expect(told('--app', 'busy', '--policy', bad)).rejects.toThrow(
      `${bad}: the policy cannot be used: it is no JSON`,
    );
    await expect(told('--app', 'busy', '--history', bad)).rejects.toThrow(
      `${bad}: the history cannot be used: it is neither`,
    );
    const entry = { app_guid: 'calm', timestamp: 1, old_instances: 1, new_instances: 2 };
    const other = await file('calm.json', [entry]);
    await expect(told('--app', 'busy', '--history', other)).rejects.toThrow(
      'is the history of calm, not of busy',
    );
    const page = await file('page.json', { total_pages: 2, resources: [{ ...entry, app_guid: 'busy' }] });
    await expect(told('--app', 'busy', '--history', page)).rejects.toThrow('is one page of several');
  });
});

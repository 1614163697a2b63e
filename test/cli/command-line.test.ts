import { expect, test } from '@jest/globals';
import { listedReasons, reasonCodes } from '../../src/explanation/reason.js';
import { backtestUsage } from '../../src/cli/backtest-options.js';
import { compareUsage } from '../../src/cli/compare-options.js';
import { parseCommandLine, usage } from '../../src/cli/command-line.js';
import { UsageError } from '../../src/cli/usage-error.js';

const backtest = {
  ...{
    name: 'backtest',
    configFile: undefined,
    appId: 'guid',
    policy: 'current',
    against: null,
    json: false,
  },
  ...{ sinceMs: 86_400_000, intervalMs: null, instances: null, historyFile: null, svgFile: null },
};

test.each([
  [[], { name: 'run', configFile: undefined }],
  [['-c', 'a.yml'], { name: 'run', configFile: 'a.yml' }],
  [['-c=a.yml'], { name: 'run', configFile: 'a.yml' }],
  [['--config', 'a.yml', 'run'], { name: 'run', configFile: 'a.yml' }],
  [
    ['migrate', '--all', '-c', 'a.yml'],
    { name: 'migrate', configFile: 'a.yml', all: true, dropObserved: false },
  ],
  [['migrate'], { name: 'migrate', configFile: undefined, all: false, dropObserved: false }],
  [
    ['migrate', '--drop-observed'],
    { name: 'migrate', configFile: undefined, all: false, dropObserved: true },
  ],
  [['members', '-c', 'a.yml'], { name: 'members', configFile: 'a.yml', json: false }],
  [['members', '--json'], { name: 'members', configFile: undefined, json: true }],
  [
    ['explain', 'guid', '--at', '2026-11-27T03:00Z', '--json'],
    { name: 'explain', configFile: undefined, appId: 'guid', json: true, atMs: Date.UTC(2026, 10, 27, 3) },
  ],
  [
    ['explain', 'guid'],
    { name: 'explain', configFile: undefined, appId: 'guid', json: false, atMs: undefined },
  ],
  [
    ['decisions', '--reason', 'at-max'],
    { name: 'decisions', configFile: undefined, reason: 'at-max', json: false },
  ],
  [['lint', 'policy.json'], { name: 'lint', configFile: undefined, file: 'policy.json' }],
  [['lint', '--all'], { name: 'lint', configFile: undefined, file: null }],
  [['read-log'], { name: 'read-log' }],
  [['--help'], { name: 'help', text: usage }],
  [['migrate', '-h'], { name: 'help', text: usage }],
  [['constructor', '-h'], { name: 'help', text: usage }],
  [['backtest', '--help'], { name: 'help', text: backtestUsage }],
  [['backtest', '--app', 'guid'], { ...backtest, configFile: undefined }],
  [
    [
      'backtest',
      '--all',
      '--policy',
      'p.json',
      '--against',
      'current',
      '--since',
      '7d',
      '--interval',
      '1m',
      '--json',
    ],
    {
      ...{ ...backtest, appId: null, policy: 'p.json', against: 'current' },
      ...{ sinceMs: 7 * 86_400_000, intervalMs: 60_000, json: true },
    },
  ],
  [
    ['backtest', '--app', 'guid', '--instances', '3', '--svg', 'a.svg', '-c', 'a.yml'],
    { ...backtest, configFile: 'a.yml', instances: 3, svgFile: 'a.svg' },
  ],
  [['backtest', '--app', 'guid', '--history', 'h.json'], { ...backtest, historyFile: 'h.json' }],
  [['compare', '-h'], { name: 'help', text: compareUsage }],
  [
    ['compare'],
    {
      name: 'compare',
      configFile: undefined,
      appId: null,
      sinceMs: 86_400_000,
      intervalMs: null,
      json: false,
    },
  ],
  [
    ['compare', '--app', 'guid', '--since', '2h', '--interval', '30s', '--json'],
    {
      name: 'compare',
      configFile: undefined,
      appId: 'guid',
      sinceMs: 7_200_000,
      intervalMs: 30_000,
      json: true,
    },
  ],
  [['--version'], { name: 'version' }],
])('%j', (args, command) => {
  expect(parseCommandLine(args)).toEqual(command);
});

test.each([
  [['scale'], "unknown command 'scale'"],
  [['run', 'twice'], "unexpected argument 'twice'"],
  [['--all'], '--all goes with migrate and lint and backtest only'],
  [['members', '--drop-observed'], '--drop-observed goes with migrate only'],
  [['migrate', '--all', '--drop-observed'], 'exclude each other'],
  [['run', '--json'], '--json goes with members and explain and decisions and backtest and compare only'],
  [['explain'], 'explain needs the guid of an app'],
  [['explain', 'one', 'two'], "unexpected argument 'two'"],
  [['explain', 'guid', '--at', '03:00'], "--at '03:00' is no time with a zone"],
  [['explain', 'guid', '--at', '2026-13-01T00:00Z'], 'is no time with a zone'],
  [['decisions'], 'decisions needs --reason CODE'],
  [['decisions', '--reason', 'bored'], "--reason 'bored': it must be one of fired cooling-down"],
  [
    ['decisions', '--reason', 'not-owned'],
    'apps have no owner only while no member lives: ask for the members',
  ],
  [['lint'], 'lint needs a file, or --all'],
  [['lint', '--all', 'policy.json'], "unexpected argument 'policy.json'"],
  [['backtest'], 'backtest needs either --app GUID or --all'],
  [['backtest', '--app', 'guid', '--all'], 'backtest needs either --app GUID or --all'],
  [['backtest', '--all', '--svg', 'x'], '--svg is about one app: it does not go with --all'],
  [['backtest', '--app', 'guid', '--since', 'yesterday'], "--since 'yesterday' is no duration"],
  [['backtest', '--app', 'guid', '--since', '31d'], "--since '31d' is more than 30d"],
  [['backtest', '--app', 'guid', '--interval=-40s'], "--interval '-40s' is no duration"],
  [['backtest', '--app', 'guid', '--instances', 'many'], "--instances 'many' is no number of instances"],
  [['backtest', '--app', 'guid', '--instances', '2', '--history', 'x'], '--instances does not go with it'],
  [['explain', 'guid', '--policy', 'x'], '--policy goes with backtest only'],
  [['-c'], 'argument missing'],
  [['--nonsense'], '--nonsense'],
])('%j is refused', (args, text) => {
  expect(() => parseCommandLine(args)).toThrow(UsageError);
  expect(() => parseCommandLine(args)).toThrow(text);
});

test('the usage names every command and option', () => {
  const words =
    'run migrate members explain decisions lint backtest compare read-log --config --all --drop-observed --json --at --reason --help';
  for (const word of [...words.split(' '), '--version', ...listedReasons]) expect(usage).toContain(word);
});

test('each reason either lists apps, or says what to ask instead', () => {
  for (const reason of reasonCodes) {
    const parse = () => parseCommandLine(['decisions', '--reason', reason]);
    if (listedReasons.some((listed) => listed === reason)) expect(parse()).toMatchObject({ reason });
    else expect(parse).toThrow(`no list has apps by '${reason}': `);
  }
});

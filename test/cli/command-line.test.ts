import { expect, test } from '@jest/globals';
import { listedReasons, reasonCodes } from '../../src/explanation/reason.js';
import { parseCommandLine, usage, UsageError } from '../../src/cli/command-line.js';

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
  [['--help'], { name: 'help' }],
  [['migrate', '-h'], { name: 'help' }],
  [['--version'], { name: 'version' }],
])('%j', (args, command) => {
  expect(parseCommandLine(args)).toEqual(command);
});

test.each([
  [['scale'], "unknown command 'scale'"],
  [['run', 'twice'], "unexpected argument 'twice'"],
  [['--all'], '--all goes with migrate and lint only'],
  [['members', '--drop-observed'], '--drop-observed goes with migrate only'],
  [['migrate', '--all', '--drop-observed'], 'exclude each other'],
  [['run', '--json'], '--json goes with members and explain and decisions only'],
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
  [['-c'], 'argument missing'],
  [['--nonsense'], '--nonsense'],
])('%j is refused', (args, text) => {
  expect(() => parseCommandLine(args)).toThrow(UsageError);
  expect(() => parseCommandLine(args)).toThrow(text);
});

test('the usage names every command and option', () => {
  const words =
    'run migrate members explain decisions lint read-log --config --all --drop-observed --json --at --reason --help';
  for (const word of [...words.split(' '), '--version', ...listedReasons]) expect(usage).toContain(word);
});

test('each reason either lists apps, or says what to ask instead', () => {
  for (const reason of reasonCodes) {
    const parse = () => parseCommandLine(['decisions', '--reason', reason]);
    if (listedReasons.some((listed) => listed === reason)) expect(parse()).toMatchObject({ reason });
    else expect(parse).toThrow(`no list has apps by '${reason}': `);
  }
});

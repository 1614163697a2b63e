import { expect, test } from '@jest/globals';
import { parseCommandLine, usage, UsageError } from '../../src/cli/command-line.js';

test.each([
  [[], { name: 'run', configFile: undefined }],
  [['-c', 'a.yml'], { name: 'run', configFile: 'a.yml' }],
  [['-c=a.yml'], { name: 'run', configFile: 'a.yml' }],
  [['--config', 'a.yml', 'run'], { name: 'run', configFile: 'a.yml' }],
  [['migrate', '--all', '-c', 'a.yml'], { name: 'migrate', configFile: 'a.yml', all: true }],
  [['migrate'], { name: 'migrate', configFile: undefined, all: false }],
  [['members', '-c', 'a.yml'], { name: 'members', configFile: 'a.yml' }],
  [['--help'], { name: 'help' }],
  [['migrate', '-h'], { name: 'help' }],
  [['--version'], { name: 'version' }],
])('%j', (args, command) => {
  expect(parseCommandLine(args)).toEqual(command);
});

test.each([
  [['scale'], "unknown command 'scale'"],
  [['run', 'twice'], "unexpected argument 'twice'"],
  [['--all'], '--all goes with migrate only'],
  [['-c'], 'argument missing'],
  [['--nonsense'], '--nonsense'],
])('%j is refused', (args, text) => {
  expect(() => parseCommandLine(args)).toThrow(UsageError);
  expect(() => parseCommandLine(args)).toThrow(text);
});

test('the usage names every command and option', () => {
  for (const word of ['run', 'migrate', 'members', '--config', '--all', '--help', '--version'])
    expect(usage).toContain(word);
});

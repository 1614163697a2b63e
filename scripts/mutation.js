// Mutation tests of one room, `npm run mutation -- evaluation`, or of one of its files, `npm run mutation -- evaluation decide`.
// Stryker changes the compiled code, one place at a time, and runs the tests of the room or file: a change that no test notices
// survives. Stryker is fetched when this runs, because nothing else needs it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const rooms = ['evaluation', 'ownership', 'scaling-engine', 'http', 'uaa'];
const [room, file = '*'] = process.argv.slice(2);
if (process.argv.length > 4 || !rooms.includes(room)) {
  process.stderr.write(`usage: npm run mutation -- ROOM [FILE]; rooms: ${rooms.join(', ')}\n`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'mutation-'));
const jest = {
  rootDir: '.',
  roots: [`<rootDir>/dist/test/${room}`],
  testMatch: [`**/${file}.test.js`],
  transform: {},
  maxWorkers: 1,
};
const options = {
  testRunner: 'command',
  commandRunner: {
    command: `node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js --bail --config '${JSON.stringify(jest)}'`,
  },
  mutate: [`dist/src/${room}/**/${file}.js`],
  ignorePatterns: ['*', '!dist/**', '!workers', '!package.json'],
  concurrency: 1,
  timeoutMS: 60_000,
  reporters: ['clear-text', 'json', 'progress-append-only'],
  jsonReporter: { fileName: join(folder, 'mutation.json') },
  tempDirName: join(folder, 'sandboxes'),
  disableTypeChecks: false,
};
const config = join(folder, 'stryker.config.json');
writeFileSync(config, JSON.stringify(options));
const { status } = spawnSync(
  'npx',
  ['--yes', '--package=@stryker-mutator/core@9', 'stryker', 'run', config],
  {
    stdio: 'inherit',
  },
);
process.stdout.write(`all mutants: ${options.jsonReporter.fileName}\n`);
process.exit(status ?? 1);

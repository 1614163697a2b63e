import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createDecisionDatabase, type DecisionDatabase } from '../decisions/database.js';
import { mainModule } from '../pipeline/process.js';
import { writeCommandConfig } from './command-config.js';

/* Commands whose output is not taken to its end. */

let db: DecisionDatabase;
let config: Awaited<ReturnType<typeof writeCommandConfig>>;
beforeAll(async () => {
  db = await createDecisionDatabase();
  config = await writeCommandConfig(db.target.url);
  // A line for each, which is more than pipes hold.
  await db.target.pool.query(
    `insert into policy_json (app_id, policy_json, guid) select 'app-' || n, '[]', 'guid' from generate_series(1, 10000) as n`,
  );
});
afterAll(async () => {
  await config.remove();
  await db.close();
});

function start(args: readonly string[], output: 'pipe' | number, input = Readable.from([])) {
  const command = spawn(process.execPath, [mainModule, ...args], { stdio: ['pipe', output, 'pipe'] });
  command.stdin?.on('error', () => {}); // it does not take all of the input
  if (command.stdin) input.pipe(command.stdin);
  const ended = once(command, 'exit') as Promise<[number | null]>;
  const errors = command.stderr ? text(command.stderr) : '';
  return { command, result: Promise.all([ended.then(([code]) => code), errors]) };
}

test('a reader that has seen enough of a list is no error', async () => {
  const { command, result } = start(['lint', '--all', '-c', config.file], 'pipe');
  command.stdout?.once('data', () => command.stdout?.destroy());
  expect(await result).toEqual([0, '']);
});

test('nor is one that has seen enough of a log that goes on', async () => {
  const { command, result } = start(['read-log'], 'pipe', Readable.from(endless('a line\n')));
  command.stdout?.once('data', () => command.stdout?.destroy());
  expect(await result).toEqual([0, '']);
});

test('a disk that is full is one', async () => {
  const full = await open('/dev/full', 'w');
  const { result } = start(['lint', '--all', '-c', config.file], full.fd);
  await full.close();
  expect(await result).toEqual([1, 'failed to write the output: ENOSPC: no space left on device, write\n']);
});

function* endless(line: string): Generator<string> {
  for (;;) yield line.repeat(1000);
}

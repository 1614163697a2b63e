import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';

const runner = fileURLToPath(new URL('runs-crashed-files-again.js', import.meta.url));
const jest = fileURLToPath(new URL('../../../node_modules/jest/bin/jest.js', import.meta.url));

const crash = "process.kill(process.pid, 'SIGSEGV'); for (;;);";
const crashOnce = `const marker = __filename + '.ran';
if (!require('node:fs').existsSync(marker)) { require('node:fs').writeFileSync(marker, ''); ${crash} }`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventgenerator-runner-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a file whose process crashed runs once more; others, and what fails otherwise, do not', async () => {
  const bodies = {
    passes: '',
    fails: "throw new Error('red')",
    'crashes-once': crashOnce,
    'crashes-always': crash,
  };
  for (const [name, body] of Object.entries(bodies)) {
    await writeFile(join(folder, `${name}.test.js`), `test('${name}', () => { ${body} });`);
  }
  const config = { rootDir: folder, runner, transform: {}, cacheDirectory: folder, maxWorkers: 4 };
  const child = spawn(process.execPath, [jest, '--config', JSON.stringify(config), '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  const { testResults } = JSON.parse(output) as { testResults: { name: string; status: string }[] };
  const found = testResults.map(({ name, status }) => `${name.slice(folder.length + 1)} ${status}`);
  expect(found.sort()).toEqual([
    'crashes-always.test.js failed',
    'crashes-once.test.js passed',
    'fails.test.js failed',
    'passes.test.js passed',
  ]);
  expect(child.exitCode).toBe(1);
  const again = /SIGSEGV\) in (.*): run again/.exec(errors)?.[1] ?? '';
  expect(
    again
      .split(', ')
      .map((path) => path.slice(folder.length + 1))
      .sort(),
  ).toEqual(['crashes-always.test.js', 'crashes-once.test.js']);
});

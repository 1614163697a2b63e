import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const run = promisify(execFile);
const preload = new URL('clock-preload.js', import.meta.url).href;
/** More than any test takes. */
const aheadMs = 1e9;

/** Wall-clock times as a process sees them, with and without `new`, and as one of its threads does. */
const script = `
import { Worker } from 'node:worker_threads';
const thread = new Worker(
  "import { parentPort } from 'node:worker_threads'; parentPort.postMessage(Date.now())",
  { eval: true },
);
thread.once('message', (inThread) => {
  const times = [Date.now(), new Date().getTime(), Date.parse(Date()), inThread, new Date(0).getTime()];
  console.log(JSON.stringify(times));
});`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventgenerator-clock-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([0, aheadMs, -aheadMs])(
  'the clock of a process and of its threads is wrong by %i ms',
  async (wrongMs) => {
    const file = join(folder, 'clock');
    await writeFile(file, String(wrongMs));
    const args = ['--import', preload, '--input-type=module', '-e', script];
    const { stdout } = await run(process.execPath, args, { env: { ...process.env, CHAOS_CLOCK_FILE: file } });
    const times = JSON.parse(stdout) as number[];
    expect(times.pop()).toBe(0);
    expect(times.map((time) => Math.round((time - Date.now()) / aheadMs) * aheadMs || 0)).toEqual(
      times.map(() => wrongMs),
    );
  },
);

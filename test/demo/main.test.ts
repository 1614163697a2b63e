import { afterEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { parse } from 'yaml';

const main = fileURLToPath(new URL('main.js', import.meta.url));
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

interface DemoJson {
  readonly ok: boolean;
  readonly scaled_out: number;
  readonly scaled_in: number;
  readonly apps: readonly {
    readonly name: string;
    readonly unit: string;
    readonly scalings: readonly { readonly from: number; readonly to: number }[];
  }[];
}

/** A demo with a folder of its own for temporary files. */
async function start(...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'demo-test-'));
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder },
  });
  cleanUps.push(
    () => child.kill('SIGKILL'),
    () => rm(folder, { recursive: true, force: true }),
  );
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, folder, ended, errors: text(child.stderr) };
}

test('scales an app out and one in through the real eventgenerator, and says so in one line', async () => {
  const demo = await start('--json', '--breach-duration', '2', '--timeout', '60');
  const output = await text(demo.child.stdout);
  expect(output).toMatch(/^\{[^\n]*\}\n$/);
  const { ok, scaled_out, scaled_in, apps } = JSON.parse(output) as DemoJson;
  expect({ ok, out: scaled_out > 0, in: scaled_in > 0 }).toEqual({ ok: true, out: true, in: true });
  // A slow machine may see a second one of each.
  expect(apps.map(({ name, scalings }) => [name, scalings[0]?.from, scalings[0]?.to])).toEqual([
    ['spike', 2, 3],
    ['decay', 2, 1],
    ['at-maximum', undefined, undefined],
    ['idle', undefined, undefined],
    ['no-data', undefined, undefined],
    ['steady', undefined, undefined],
  ]);
  expect(apps.map(({ unit }) => unit)).toEqual(['rps', 'rps', 'ms', '%', '', '%']);
  expect(await demo.ended).toBe(0);
  expect(await demo.errors).toBe('');
  expect(await readdir(demo.folder)).toEqual([]);
}, 180_000);

test('SIGTERM ends it early, and nothing is left', async () => {
  const demo = await start();
  let pid: number | undefined;
  for await (const line of createInterface(demo.child.stdout)) {
    expect(line).not.toContain('\x1b');
    const found = /eventgenerator \(process (\d+)\)/.exec(line)?.[1];
    if (found === undefined) continue;
    pid = Number(found);
    break;
  }
  const databaseUrl = await policyDbUrl(demo.folder);
  demo.child.stdout.resume();
  demo.child.kill('SIGTERM');
  expect(await demo.ended).toBe(130);
  expect(await demo.errors).toBe('');
  expect(await readdir(demo.folder)).toEqual([]);
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH');
  await expect(new pg.Client({ connectionString: databaseUrl }).connect()).rejects.toThrow('does not exist');
}, 180_000);

test('gives up after the timeout with exit code 1', async () => {
  const demo = await start('--json', '--timeout', '1');
  expect(JSON.parse(await text(demo.child.stdout))).toMatchObject({ ok: false, problem: 'timeout' });
  expect(await demo.ended).toBe(1);
  expect(await readdir(demo.folder)).toEqual([]);
}, 180_000);

test('a bad argument ends it with one line and exit code 2', async () => {
  const demo = await start('--timeout', 'soon');
  expect(await text(demo.child.stdout)).toBe('');
  expect(await demo.ended).toBe(2);
  expect(await demo.errors).toBe(
    'demo: --timeout must be a whole number of seconds from 1 to 3600, not "soon"\n',
  );
});

async function policyDbUrl(folder: string): Promise<string> {
  const [own] = (await readdir(folder)).filter((name) => name.startsWith('eventgenerator-demo-'));
  const config = parse(await readFile(join(folder, own ?? '', 'eventgenerator.yml'), 'utf8')) as {
    db: { policy_db: { url: string } };
  };
  return config.db.policy_db.url;
}

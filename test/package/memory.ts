import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readManifest } from './manifest.js';

/*
 * `npm run memory`: how much memory the process takes, started with the manifest's command against the miniature
 * platform. For the table in docs/deploy-cloud-foundry.md. Linux only, as Cloud Foundry's cells are.
 */

const help = `Usage: npm run memory -- [options]

Prints the memory of one eventgenerator (VmRSS and its highest value, MB) as one JSON line every 10 s.

  --apps N        apps with policies (default 1000)
  --instances N   instances of each (default 2)
  --seconds N     how long (default 120)
  -h, --help      says this

Exit codes: 0, 1 when it could not be measured, 2 for wrong usage.
`;

type Options = ReturnType<typeof parseOptions>;

/** Throws for a command line that makes no sense; the message is for the user. */
function parseOptions() {
  const { values } = parseArgs({
    options: {
      apps: { type: 'string', default: '1000' },
      instances: { type: 'string', default: '2' },
      seconds: { type: 'string', default: '120' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  for (const name of ['apps', 'instances', 'seconds'] as const) {
    if (/^[1-9]\d{0,8}$/.test(values[name])) continue;
    throw new Error(`--${name} must be a whole number from 1 on, not "${values[name]}"`);
  }
  return values;
}

function optionsOrExit(): Options {
  try {
    return parseOptions();
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    process.stderr.write(`memory: ${reason ?? ''} (--help lists the options)\n`);
    process.exit(2);
  }
}

async function measure(options: Options): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-memory-'));
  const file = join(folder, 'eventgenerator.yml');
  const platform = startPlatform(options, file);
  let eventgenerator: ChildProcess | undefined;
  try {
    await firstLine(platform);
    const { command, memory } = readManifest();
    eventgenerator = spawn('bash', ['-c', `${command} -c '${file}'`], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      env: { ...process.env, MEMORY_AVAILABLE: String(Number.parseInt(memory)) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const endMs = performance.now() + Number(options.seconds) * 1000;
    while (performance.now() < endMs) {
      await sleep(Math.min(10_000, Math.max(0, endMs - performance.now())));
      process.stdout.write(JSON.stringify(await memoryOf(eventgenerator)) + '\n');
    }
  } finally {
    await end(eventgenerator);
    await end(platform);
    await rm(folder, { recursive: true, force: true });
  }
}

function startPlatform({ apps, instances }: Options, configFile: string): ChildProcess {
  const main = fileURLToPath(new URL('../platform/main.js', import.meta.url));
  const args = [main, '--apps', apps, '--instances', instances, '--write-config', configFile];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function firstLine({ stdout }: ChildProcess): Promise<void> {
  if (!stdout) throw new Error('the platform has no output');
  const lines = createInterface(stdout);
  const ready = await Promise.race([once(lines, 'line'), once(lines, 'close')]);
  if (ready.length === 0) throw new Error('the platform did not start');
}

async function memoryOf({ pid }: ChildProcess): Promise<object> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string) =>
    Math.round((Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6);
  return { rssMb: megabytes('VmRSS'), highestMb: megabytes('VmHWM') };
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

const options = optionsOrExit();
if (options.help) process.stdout.write(help);
else await measure(options);

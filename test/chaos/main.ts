import { inspect } from 'node:util';
import { createReleasers } from '../../src/util/releasers.js';
import { silentLogger } from '../support/silent-logger.js';
import { allFaults } from './faults/all.js';
import { parseOptions, UsageError } from './options.js';
import { isGreen, jsonLine, text } from './report.js';
import { faultsNamed, runChaos } from './run.js';

/*
 * `npm run chaos`: real processes on a real database and the miniature platform, to which everything happens that can
 * be made to happen, and an audit of what became of it.
 */

const help = `Usage: npm run chaos -- [options]

Runs members of the eventgenerator, changes policies all the time and lets faults happen, several at a time. Then it
holds every stored app metric and every trigger against what was really so. Progress goes to standard error, the
report to standard output. The same seed gives the same faults in the same order. Needs Linux.

Options:
  --minutes M     How long faults happen; starting, a calm and the audit come on top (20)
  --seed S        Default: a random one, which is printed
  --members N     Processes that share the apps (3)
  --apps N        Apps, each with a policy (500)
  --interval S    Collection and evaluation interval in seconds (10)
  --at-once N     How many faults overlap at most (3)
  --faults A,B    Only faults whose names begin so
  --logs FOLDER   Keeps the members' logs there
  --quick         Short faults and a short calm, to see that a run works
  --json          One JSON line instead of the text
  -h, --help      Show this help

Faults:
${allFaults.map(({ name, longestSecs }) => `  ${name.padEnd(32)} up to ${longestSecs} s`).join('\n')}

Exit codes: 0, 1 when something was found or the run failed, 2 for wrong usage.
`;

const releasers = createReleasers(silentLogger);
const ended = new AbortController();

function progress(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}

/** Everything that was started has process groups of its own: nothing may outlive this process, however it ends. */
function releaseAtAnyEnd(): void {
  const end = (exitCode: number) => {
    ended.abort();
    void releasers.releaseAll().then(() => process.exit(exitCode));
  };
  process.on('SIGINT', () => end(130));
  process.on('SIGTERM', () => end(143));
  process.on('uncaughtException', (error) => {
    process.stderr.write(`chaos: ${error.stack ?? error.message}\n`);
    end(1);
  });
}

try {
  const options = parseOptions(process.argv.slice(2), Math.floor(Math.random() * 1_000_000));
  if (options === 'help') {
    process.stdout.write(help);
  } else {
    faultsNamed(options.faults);
    releaseAtAnyEnd();
    progress(`seed ${options.seed}`);
    const report = await runChaos(options, progress, releasers, ended.signal);
    process.stdout.write(`${options.json ? jsonLine(report) : text(report)}\n`);
    process.exitCode = isGreen(report) ? 0 : 1;
  }
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof UsageError ? error.message : inspect(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
} finally {
  await releasers.releaseAll();
}
process.exit();

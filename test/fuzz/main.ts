import { inspect } from 'node:util';
import { silentLogger } from '../support/silent-logger.js';
import { createReleasers } from '../../src/util/releasers.js';
import { parseOptions, UsageError } from './options.js';
import { runFuzz, type FuzzReport } from './run.js';

/* `npm run fuzz`: odd and broken requests to every endpoint of the program itself, on a real database. */

const help = `Usage: npm run fuzz -- [options]

Sends generated requests to every endpoint of docs/openapi.json, to the pages below /health/apps, and to a path at which
nothing is: correct ones, ones with something odd in them, and what is no HTTP any more. Every body must be one of the
document's or a page, nothing may grow, and the process must live. Progress goes to standard error, the report to standard output. Needs Linux.

Options:
  --requests N  For each endpoint (10000)
  --seed S      The same seed sends the same requests; default: a random one, which is printed
  --json        One JSON line instead of the text
  -h, --help    Show this help

Exit codes: 0, 1 when something was found or the run failed, 2 for wrong usage.
`;

const releasers = createReleasers(silentLogger);

function progress(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}

function text({ options, requests, statuses, findings, growth }: FuzzReport): string {
  return [
    `${requests} requests, seed ${options.seed}`,
    ...Object.entries(statuses).map(([status, count]) => `  ${status.padEnd(8)} ${count}`),
    `memory ${growth.residentMiB} MiB, descriptors ${growth.descriptors} more than after a tenth of the run`,
    ...(findings.length === 0 ? ['nothing found'] : findings),
    `again: npm run fuzz -- --seed ${options.seed} --requests ${options.requests}`,
  ].join('\n');
}

/** What was started has process groups of its own: nothing may outlive this process, however it ends. */
function releaseAtAnyEnd(): void {
  const end = (code: number) => void releasers.releaseAll().then(() => process.exit(code));
  process.on('SIGINT', () => end(130));
  process.on('SIGTERM', () => end(143));
}

try {
  const options = parseOptions(process.argv.slice(2), Math.floor(Math.random() * 1_000_000));
  if (options === 'help') {
    process.stdout.write(help);
  } else {
    releaseAtAnyEnd();
    progress(`seed ${options.seed}`);
    const report = await runFuzz(options, releasers, progress);
    process.stdout.write(
      `${options.json ? JSON.stringify({ ok: report.findings.length === 0, ...report }) : text(report)}\n`,
    );
    process.exitCode = report.findings.length === 0 ? 0 : 1;
  }
} catch (error) {
  process.stderr.write(`fuzz: ${error instanceof UsageError ? error.message : inspect(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
} finally {
  await releasers.releaseAll();
}
process.exit();

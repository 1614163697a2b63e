import { createReleasers } from '../../src/util/releasers.js';
import { silentLogger } from '../support/silent-logger.js';
import type { Benchmark, BenchmarkContext } from './benchmark.js';
import { benchmarks } from './benchmarks.js';
import { parseOptions, UsageError, type BenchOptions } from './options.js';
import { isOk, jsonLine, reportsOf, table, type Report } from './report.js';

/*
 * `npm run bench`: runs benchmarks one after the other and says whether their targets are reached.
 */

const help = `Usage: npm run bench -- [options] [benchmark ...]

Runs all benchmarks, or those named. Progress goes to standard error, figures to standard output. The targets are for
two processors (taskset -c 0,1 on a larger machine), idle but for this. Needs Linux.

Benchmarks:
${benchmarks.map(({ name, describe }) => `  ${name.padEnd(12)} ${describe}`).join('\n')}

Options:
  --json       One JSON line per benchmark, or per event of it, at the end
  --quick      Smaller sizes, for trying; targets are not judged, ok is null
  --transport  rest (HTTPS, the default) or grpc: how collection and scale read log-cache. With grpc, collection
               is judged by what it costs beside HTTPS
  -h, --help   Show this help

Exit codes: 0, 1 when a target is missed or a benchmark failed, 2 for wrong usage.
`;

const releasers = createReleasers(silentLogger);

function createContext({ quick, transport }: BenchOptions): BenchmarkContext {
  const shared = new Map<string, Promise<unknown>>();
  return {
    quick,
    transport,
    progress: (text) => void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`),
    shared<T>(key: string, make: () => Promise<T>): Promise<T> {
      const known = shared.get(key) as Promise<T> | undefined;
      if (known) return known;
      const made = make();
      shared.set(key, made);
      return made;
    },
    releaseAtEnd: (release) => releasers.add('benchmark', release),
  };
}

async function run(options: BenchOptions): Promise<number> {
  const { names, json, quick } = options;
  const context = createContext(options);
  const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name));
  const reports: Report[] = [];
  for (const benchmark of chosen) {
    const made = await runOne(benchmark, context);
    reports.push(...made);
    if (!json) for (const report of made) process.stdout.write(`${table(report, quick)}\n`);
  }
  if (json) for (const report of reports) process.stdout.write(`${jsonLine(report, quick)}\n`);
  const failed = reports.some((report) => 'error' in report.outcome || (!quick && !isOk(report)));
  return failed ? 1 : 0;
}

async function runOne(benchmark: Benchmark, context: BenchmarkContext): Promise<Report[]> {
  context.progress(`${benchmark.name} begins`);
  const startedMs = performance.now();
  const secs = () => (performance.now() - startedMs) / 1000;
  try {
    const result = await benchmark.run(context);
    return reportsOf(benchmark.name, secs(), result);
  } catch (error) {
    context.progress(`${benchmark.name} failed: ${error instanceof Error ? error.stack : String(error)}`);
    const message = error instanceof Error ? error.message : String(error);
    return [{ name: benchmark.name, secs: secs(), outcome: { error: message } }];
  }
}

/** Everything that was started has process groups of its own: nothing may outlive this process, however it ends. */
function releaseAtAnyEnd(): void {
  const end = (exitCode: number) => void releasers.releaseAll().then(() => process.exit(exitCode));
  process.on('SIGINT', () => end(130));
  process.on('SIGTERM', () => end(143));
  process.on('uncaughtException', (error) => {
    process.stderr.write(`bench: ${error.stack ?? error.message}\n`);
    end(1);
  });
}

try {
  const options = parseOptions(
    process.argv.slice(2),
    benchmarks.map(({ name }) => name),
  );
  if (options === 'help') {
    process.stdout.write(help);
  } else {
    releaseAtAnyEnd();
    process.exitCode = await run(options);
  }
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
} finally {
  await releasers.releaseAll();
}
process.exit();

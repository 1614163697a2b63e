import { runDemo, type DemoResult, type Ending, type Interruption } from './demo.js';
import { hasUnicode, type Look } from './look.js';
import { helpText, parseOptions, UsageError, type DemoOptions } from './options.js';
import { isSuccess, summaryJson, summaryLines } from './summary.js';
import { createLiveView, createPlainView, silentView, type View } from './views.js';

/*
 * `npm run demo`: what the eventgenerator does, to be watched on one screen.
 */

async function main(options: DemoOptions): Promise<number> {
  const interruption = listenForInterruptions();
  const live = isLively(process.stdout, process.env);
  const look = { colours: live, unicode: hasUnicode(process.env) };
  const result = await runDemo(options, viewFor(options, live, look), interruption);
  const lines = options.json
    ? [JSON.stringify(summaryJson(result))]
    : summaryLines(result, options.keep, look);
  process.stdout.write(lines.join('\n') + '\n');
  const details = options.json && result.ending.kind === 'failed' ? result.ending.details : [];
  for (const line of details) process.stderr.write(`${line}\n`);
  return exitCode(result, options);
}

function viewFor({ json }: DemoOptions, live: boolean, look: Look): View {
  if (json) return silentView;
  return live ? createLiveView(process.stdout, look) : createPlainView(process.stdout);
}

/** Whether a terminal is there that can do more than print lines, and may. */
function isLively({ isTTY }: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

function exitCode(result: DemoResult, { keep }: DemoOptions): number {
  if (result.ending.kind !== 'interrupted') return isSuccess(result) ? 0 : 1;
  if (result.stopProblems.length > 0) return 1;
  return keep ? 0 : 130;
}

/** Ctrl-C reaches this process twice when npm passes the terminal's signal on. */
const sameSignalMs = 1000;

/** From now on signals and errors that nobody caught do not end this process: what it started must be stopped first. */
function listenForInterruptions(): Interruption {
  let ask: (ending: Ending) => void = () => {};
  let repeat: () => void = () => {};
  const asked = new Promise<Ending>((resolve) => (ask = resolve));
  const repeated = new Promise<void>((resolve) => (repeat = resolve));
  let firstAtMs: number | undefined;
  const onSignal = () => {
    firstAtMs ??= performance.now();
    if (performance.now() - firstAtMs > sameSignalMs) repeat();
    ask({ kind: 'interrupted' });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  // Whoever read the output is gone: nobody is left to watch.
  process.stdout.on('error', () => ask({ kind: 'interrupted' }));
  process.stderr.on('error', () => {});
  process.on('uncaughtException', (error) =>
    ask({ kind: 'failed', problem: error.message, details: error.stack?.split('\n').slice(1) ?? [] }),
  );
  return { asked, repeated };
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(helpText);
  else process.exitCode = await main(options);
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
// Idle sockets and signal handlers must not keep a process alive that has released everything.
process.exit();

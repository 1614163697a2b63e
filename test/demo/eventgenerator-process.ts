import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endsWithin, systemClock } from '../../src/util/clock.js';
import { parseLogLine, readableLogLine, type LogLine } from '../../src/cli/readable-log-line.js';

/** It ends by itself within 8 s of SIGTERM. */
const stopDeadlineMs = 10_000;
/** What is shown when it ends early; debug lines would push everything of interest out. */
const maxLastLines = 15;

/** Settings of a Cloud Foundry that the demo may run on must not reach the eventgenerator of the demo. */
const foreignSettings = /^(VCAP_|CF_|EVENTGENERATOR_|MEMORY_LIMIT$|PORT$)/;

export interface EventgeneratorProcess {
  readonly pid: number | undefined;
  /** Resolves when it says that it has started; never, if it ends before. */
  readonly started: Promise<void>;
  /** Resolves with the exit code, or with what ended it. */
  readonly ended: Promise<number | string>;
  /** The last lines that it wrote, without those at debug level, for human eyes. */
  lastLines(): readonly string[];
  /**
   * SIGTERM; SIGKILL when that is not enough. Rejects if it did not end with 0 then. One that had ended before is no
   * fault of stopping, nor is one that was too young to know about signals.
   */
  stop(): Promise<void>;
  kill(): void;
}

/** Starts the eventgenerator as operators do, and hands on every line of its log. */
export function startEventgenerator(
  configFile: string,
  onLine: (line: LogLine) => void,
): EventgeneratorProcess {
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  // A process group of its own: Ctrl-C in a terminal must not reach it before the demo asks it to stop.
  const child = spawn(process.execPath, [main, '-c', configFile], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreignSettings.test(name))),
  });
  const lastLines: string[] = [];
  const keep = (text: string) => {
    if (text.trim() !== '') lastLines.push(text);
    if (lastLines.length > maxLastLines) lastLines.shift();
  };
  let isUp = false;
  const { promise: started, resolve: hasStarted } = withResolver();
  createInterface(child.stdout).on('line', (text) => {
    const line = parseLogLine(text);
    if (line?.level !== 'debug') keep(text);
    if (!line) return;
    if (line.event === 'started') {
      isUp = true;
      hasStarted();
    }
    onLine(line);
  });
  createInterface(child.stderr).on('line', keep);
  const ended = endOf(child);

  return {
    pid: child.pid,
    started,
    ended,
    lastLines: () => lastLines.map(readableLogLine),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const young = !isUp;
      child.kill('SIGTERM');
      if (!(await endsWithin(systemClock, stopDeadlineMs, ended))) child.kill('SIGKILL');
      const how = await ended;
      if (how === 0 || (young && how === 'SIGTERM')) return;
      throw new Error(`it ended with ${how} instead of 0 when it was asked to stop`);
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/** Waits for the last output, too. */
function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'an unknown cause'));
  });
}

function withResolver(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

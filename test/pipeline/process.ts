import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const mainModule = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A line as Cloud Foundry's Go components write it. */
export interface LoggedLine {
  readonly timestamp: string;
  readonly level: string;
  readonly source: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The eventgenerator as an operator runs it. */
export interface EventgeneratorProcess {
  readonly pid: number;
  /** All of standard output so far, line by line. */
  readonly output: readonly string[];
  readonly errors: () => string;
  /** Resolves with the first log line of this message; rejects when the process ends before. */
  logged(message: string): Promise<LoggedLine>;
  lines(): LoggedLine[];
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

const running = new Set<ChildProcess>();

/** For the case that a test fails half-way. */
export function killProcesses(): void {
  for (const child of running) child.kill('SIGKILL');
}

export function startProcess(args: readonly string[], env: NodeJS.ProcessEnv = {}): EventgeneratorProcess {
  const child = spawn(process.execPath, [mainModule, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...env },
  });
  running.add(child);
  const output: string[] = [];
  const waiting = new Set<(line: LoggedLine) => void>();
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const lines = createInterface(child.stdout).on('line', (line) => {
    output.push(line);
    if (line.startsWith('{')) for (const tell of waiting) tell(JSON.parse(line) as LoggedLine);
  });
  const ended = Promise.all([
    once(child, 'exit') as Promise<[number | null, NodeJS.Signals]>,
    once(lines, 'close'),
  ]).then(([[code, signal]]) => {
    running.delete(child);
    return code ?? signal;
  });
  const parsed = () =>
    output.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LoggedLine);

  return {
    pid: child.pid ?? 0,
    output,
    errors: () => errors,
    lines: parsed,
    kill: (signal) => void child.kill(signal),
    ended,
    logged(message) {
      const known = parsed().find((line) => line.message === message);
      if (known) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const tell = (line: LoggedLine) => {
          if (line.message !== message) return;
          waiting.delete(tell);
          resolve(line);
        };
        waiting.add(tell);
        void ended.then((code) =>
          reject(new Error(`ended with ${code} before ${message}:\n${output.join('\n')}\n${errors}`)),
        );
      });
    },
  };
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { WrittenConfig } from '../../platform/eventgenerator-config.js';
import { parseScrape, type Scrape } from './prometheus-text.js';

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Wall-clock ms at which the line was read. */
  readonly readAtMs: number;
}

export interface EventgeneratorProcess {
  readonly pid: number;
  /** Wall-clock ms. */
  readonly startedAtMs: number;
  /** The first line with this message, also one that was read before. Rejects after timeoutMs or when the process ends. */
  line(message: string, timeoutMs: number): Promise<LogLine>;
  /** All lines so far. */
  readonly lines: readonly LogLine[];
  /** Messages of the lines of level error so far. */
  errors(): readonly string[];
  scrape(): Promise<Scrape>;
  hasEnded(): boolean;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** SIGTERM; resolves when the process has ended. Idempotent. */
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

/** As manifest.yml starts it where an instance has 1.5 GB. */
const nodeOptions = [
  '--max-old-space-size=768',
  '--initial-old-space-size=64',
  '--max-semi-space-size=16',
  '--v8-pool-size=1',
];

/** As a benchmark has it: tasks of the main thread are seen but for 10 ms. */
const fineLoopLag = { EVENTGENERATOR_LOOP_RESOLUTION_MS: '10' };

/**
 * Runs the program itself, as an operator would. `imports`: modules that are loaded before it; `env`: what its
 * environment has besides this process's.
 */
export function startEventgeneratorProcess(
  config: Pick<WrittenConfig, 'file' | 'ports'>,
  imports: readonly URL[] = [],
  env: Readonly<Record<string, string>> = {},
): EventgeneratorProcess {
  const startedAtMs = Date.now();
  const child = spawn(
    process.execPath,
    [...nodeOptions, ...imports.flatMap(({ href }) => ['--import', href]), main, '-c', config.file],
    // Detached: Ctrl-C goes to the benchmark, which stops this process before its database.
    { stdio: ['ignore', 'pipe', 'inherit'], detached: true, env: { ...process.env, ...fineLoopLag, ...env } },
  );
  const lines: LogLine[] = [];
  const waiting = new Set<(line: LogLine) => void>();
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parseLine(text);
    lines.push(line);
    for (const tell of waiting) tell(line);
  });
  const ended = (once(child, 'exit') as Promise<[number | null, NodeJS.Signals]>).then(
    ([code, signal]) => code ?? signal,
  );
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;

  return {
    pid: child.pid ?? 0,
    startedAtMs,
    line(message, timeoutMs) {
      const known = lines.find((line) => line.message === message);
      if (known) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const settle = (result: LogLine | Error) => {
          clearTimeout(timer);
          waiting.delete(tell);
          if (result instanceof Error) reject(result);
          else resolve(result);
        };
        const tell = (line: LogLine) => {
          if (line.message === message) settle(line);
        };
        const last = () => lines.at(-1)?.message ?? 'nothing';
        const timer = setTimeout(
          () => settle(new Error(`no ${message} within ${timeoutMs} ms; last: ${last()}`)),
          timeoutMs,
        );
        waiting.add(tell);
        void ended.then(() => settle(new Error(`the eventgenerator ended; last: ${last()}`)));
      });
    },
    lines,
    errors: () => lines.filter(({ level }) => level === 'error').map(({ message }) => message),
    async scrape() {
      const response = await fetch(`http://127.0.0.1:${config.ports.health}/health`);
      if (!response.ok) throw new Error(`/health answered ${response.status}`);
      return parseScrape(await response.text());
    },
    hasEnded,
    ended,
    async stop() {
      if (!hasEnded()) child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Start-up errors are plain text. */
function parseLine(text: string): LogLine {
  const readAtMs = Date.now();
  try {
    return { ...(JSON.parse(text) as Omit<LogLine, 'readAtMs'>), readAtMs };
  } catch {
    return { level: 'error', message: text, data: {}, readAtMs };
  }
}

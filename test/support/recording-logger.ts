import type { LogData, Logger } from '../../src/observability/logger.js';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'error';
  readonly event: string;
  /** Only of errors. */
  readonly message?: string;
  readonly data: LogData;
}

type Matches = (line: LogLine) => boolean;

export interface Recording {
  readonly logger: Logger;
  readonly lines: LogLine[];
  /**
   * The first line of this event that matches, from line `from` on: by default also one that was logged before. The
   * test's own deadline bounds the wait.
   */
  until(event: string, matches?: Matches, from?: number): Promise<LogLine>;
}

/** A logger that keeps what it was told. */
export function recordingLogger(): Recording {
  const lines: LogLine[] = [];
  const waiting = new Set<{ readonly matches: Matches; readonly resolve: (line: LogLine) => void }>();

  const record = (line: LogLine) => {
    lines.push(line);
    for (const waiter of waiting) {
      if (!waiter.matches(line)) continue;
      waiting.delete(waiter);
      waiter.resolve(line);
    }
  };
  const loggerFor = (prefix: string): Logger => ({
    debug: (event, data = {}) => record({ level: 'debug', event: prefix + event, data }),
    info: (event, data = {}) => record({ level: 'info', event: prefix + event, data }),
    error: (event, error, data = {}) => {
      const message = error instanceof Error ? error.message : String(error);
      record({ level: 'error', event: prefix + event, message, data });
    },
    child: (component) => loggerFor(`${prefix}${component}.`),
  });

  return {
    logger: loggerFor(''),
    lines,
    until(event, matches = () => true, from = 0) {
      const isIt: Matches = (line) => line.event === event && matches(line);
      const known = lines.slice(from).find(isIt);
      if (known) return Promise.resolve(known);
      return new Promise((resolve) => waiting.add({ matches: isIt, resolve }));
    },
  };
}

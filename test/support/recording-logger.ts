import type { LogData, Logger } from '../../src/observability/logger.js';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'error';
  readonly event: string;
  /** Only of errors. */
  readonly message?: string;
  readonly data: LogData;
}

/** A logger that keeps what it was told. */
export function recordingLogger(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const loggerFor = (prefix: string): Logger => ({
    debug: (event, data = {}) => void lines.push({ level: 'debug', event: prefix + event, data }),
    info: (event, data = {}) => void lines.push({ level: 'info', event: prefix + event, data }),
    error: (event, error, data = {}) => {
      const message = error instanceof Error ? error.message : String(error);
      lines.push({ level: 'error', event: prefix + event, message, data });
    },
    child: (component) => loggerFor(`${prefix}${component}.`),
  });
  return { logger: loggerFor(''), lines };
}

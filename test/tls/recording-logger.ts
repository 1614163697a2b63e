import type { LogData, Logger } from '../../src/observability/logger.js';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'error';
  readonly event: string;
  readonly message: string;
  readonly data: LogData;
}

/** Keeps what is logged; `text` is everything at once, for tests that nothing secret is in it. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[] = [];

  debug(event: string, data: LogData = {}): void {
    this.lines.push({ level: 'debug', event, message: '', data });
  }

  info(event: string, data: LogData = {}): void {
    this.lines.push({ level: 'info', event, message: '', data });
  }

  error(event: string, error: unknown, data: LogData = {}): void {
    this.lines.push({ level: 'error', event, message: String((error as Error).message), data });
  }

  child(): Logger {
    return this;
  }

  /** Events that an operator sees. */
  events(): string[] {
    return this.lines.filter((line) => line.level !== 'debug').map((line) => line.event);
  }

  text(): string {
    return JSON.stringify(this.lines);
  }
}

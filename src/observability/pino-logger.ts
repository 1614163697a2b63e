import { types } from 'node:util';
import { pino, type DestinationStream } from 'pino';
import type { LogLevel } from '../config/config.js';
import { systemClock, type Clock } from '../util/clock.js';
import type { LogData, Logger } from './logger.js';
import { describeError, redact } from './redact.js';

const source = 'eventgenerator';

/** Bytes that wait where nobody reads standard output. Further lines are dropped. */
const maxBufferedBytes = 4 * 1024 * 1024;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Gets whole lines. Default: standard output. */
  readonly destination?: DestinationStream;
  readonly clock?: Pick<Clock, 'now'>;
}

export interface RootLogger extends Logger {
  /** Logs nothing more. Resolves when all lines are written, which is never if nobody reads them. Does not reject. */
  close(): Promise<void>;
}

/** Logs one JSON object a line in the format of Cloud Foundry's Go components. No call throws. */
export function createLogger({ level, destination, clock = systemClock }: LoggerOptions): RootLogger {
  const output = destination ? { stream: destination, close: () => Promise.resolve() } : standardOutput();
  const sink = pino(
    {
      level,
      base: null,
      timestamp: () => `,"timestamp":"${timestamp(clock.now())}"`,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: timestampFirst },
    },
    output.stream,
  );

  const write = (severity: 'debug' | 'info' | 'error', message: string, data: () => LogData) => {
    try {
      if (sink.isLevelEnabled(severity)) sink[severity]({ source, message, data: redact(data()) });
    } catch {
      // Neither a failing destination nor unreadable data may stop the caller.
    }
  };
  const withError = (error: unknown, data: LogData): LogData => {
    const trace = sink.isLevelEnabled('debug') ? stackOf(error) : undefined;
    return { ...data, error: describeError(error), ...(trace !== undefined && { trace }) };
  };

  const at = (path: string): Logger => ({
    debug: (event, data = {}) => write('debug', `${path}.${event}`, () => data),
    info: (event, data = {}) => write('info', `${path}.${event}`, () => data),
    error: (event, error, data = {}) => write('error', `${path}.${event}`, () => withError(error, data)),
    child: (component) => at(`${path}.${component}`),
  });
  return { ...at(source), close: () => output.close() };
}

/** Written asynchronously, so that a stalled reader stops nothing here, and flushed when the process exits. */
function standardOutput(): { stream: DestinationStream; close: () => Promise<void> } {
  const stream = pino.destination({ fd: 1, sync: false, maxLength: maxBufferedBytes });
  stream.on('error', () => {}); // There is no other place to report it.
  const close = () =>
    new Promise<void>((resolve) => {
      stream.once('close', () => resolve());
      stream.end();
    });
  return { stream, close };
}

/** RFC 3339 with nanoseconds, as Go's loggers write it. */
function timestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('Z', '000000Z');
}

/** Puts the timestamp before the level: raw lines can be sorted then. */
function timestampFirst(line: string): string {
  return line.replace(/^\{("level":"\w+"),("timestamp":"[^"]+")/, '{$2,$1');
}

function stackOf(error: unknown): string | undefined {
  try {
    return types.isNativeError(error) ? error.stack : undefined;
  } catch {
    return undefined;
  }
}

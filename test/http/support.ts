import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { systemClock } from '../../src/util/clock.js';
import type { AppMetric } from '../../src/history/app-metric.js';
import type { HistoryQuery, HistoryReader } from '../../src/history/history-reader.js';
import { defaultLimits } from '../../src/http/limits.js';
import { createListener, type Listener } from '../../src/http/listener.js';
import type { ServersConfig, ServersOptions } from '../../src/http/servers.js';
import type { LogData, Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';

interface LogLine {
  readonly level: 'debug' | 'info' | 'error';
  readonly event: string;
  readonly error?: unknown;
  readonly data: LogData;
}

export interface RecordingLogger extends Logger {
  readonly lines: LogLine[];
}

export function recordingLogger(): RecordingLogger {
  const lines: LogLine[] = [];
  const at = (prefix: string): RecordingLogger => ({
    lines,
    debug: (event, data = {}) => void lines.push({ level: 'debug', event: prefix + event, data }),
    info: (event, data = {}) => void lines.push({ level: 'info', event: prefix + event, data }),
    error: (event, error, data = {}) =>
      void lines.push({ level: 'error', event: prefix + event, error, data }),
    child: (component) => at(`${prefix}${component}.`),
  });
  return at('');
}

export function appMetric(overrides: Partial<AppMetric> = {}): AppMetric {
  return {
    appId: 'app-1',
    metricType: 'cpu',
    value: 42n,
    unit: '%',
    timestampNs: 1_755_700_000_123_456_789n,
    ...overrides,
  };
}

export interface FakeHistory extends HistoryReader {
  readonly queries: HistoryQuery[];
  /** Resolves when a reader was told that nobody reads on. */
  readonly released: Promise<void>;
}

/** Serves what the source yields, and notes what was asked and that it was let go before its end. */
export function fakeHistory(source: () => AsyncIterable<readonly AppMetric[]>): FakeHistory {
  const queries: HistoryQuery[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  return {
    queries,
    released,
    fromMemory: () => null,
    fromDatabase(query) {
      queries.push(query);
      const iterator = source()[Symbol.asyncIterator]();
      return {
        [Symbol.asyncIterator]: () => ({
          next: () => iterator.next(),
          return: async () => {
            release();
            await iterator.return?.();
            return { done: true, value: undefined };
          },
        }),
      };
    },
  };
}

export function historyOf(...batches: (readonly AppMetric[])[]): FakeHistory {
  return fakeHistory(async function* () {
    yield* batches;
  });
}

export function testListener(overrides: Partial<Parameters<typeof createListener>[0]> = {}): Listener {
  return createListener({
    name: 'test server',
    port: 0,
    portKey: 'test.port',
    tls: null,
    logger: recordingLogger(),
    metrics: createMetrics(),
    clock: systemClock,
    limits: defaultLimits,
    ...overrides,
  });
}

const noTls = { key: null, cert: null, ca: null };

/** As on Cloud Foundry: one listener, open to org `o`. */
export function cloudFoundryConfig(overrides: Partial<ServersConfig> = {}): ServersConfig {
  return {
    onCloudFoundry: true,
    apiServer: null,
    cfServer: { port: 0, tls: noTls, xfcc: { validOrgGuid: 'o', validSpaceGuid: '', ca: null } },
    healthServer: null,
    health: { basicAuth: { username: null, password: null }, readinessEnabled: true },
    ...overrides,
  };
}

/** As on a BOSH VM: three listeners, without TLS unless overridden. */
export function virtualMachineConfig(overrides: Partial<ServersConfig> = {}): ServersConfig {
  return {
    ...cloudFoundryConfig(),
    onCloudFoundry: false,
    apiServer: { port: 0, tls: noTls },
    healthServer: { port: 0, tls: noTls },
    health: { basicAuth: { username: null, password: null }, readinessEnabled: false },
    ...overrides,
  };
}

export function serversDeps(overrides: Partial<ServersOptions> = {}): ServersOptions {
  return {
    history: historyOf(),
    clock: systemClock,
    logger: recordingLogger(),
    metrics: createMetrics(),
    lifecycle: () => 'running',
    readinessChecks: [],
    tls: {},
    ...overrides,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions extends RequestOptions {
  readonly payload?: string;
}

/** A request to a listener, which starts listening with the first one. */
export async function askListener(
  listener: Listener,
  path: string,
  options: AskOptions = {},
): Promise<Answer> {
  if (!listener.address()) await listener.listen('127.0.0.1');
  return ask(`http://127.0.0.1:${listener.address()?.port}${path}`, options);
}

/** One request on a connection of its own; rejects when the connection breaks, also in the middle of the body. */
export function ask(url: string, { payload, ...options }: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const request = send(url, { agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    request.on('error', reject);
    request.end(payload);
  });
}

export function basic(username: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

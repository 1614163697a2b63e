import { readFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import type { WrittenConfig } from '../../platform/eventgenerator-config.js';

export interface ApiAnswer {
  /** 0 where the connection broke. */
  readonly status: number;
  /** From the moment at which the request was due: a client that is late itself does not make the server look quick. */
  readonly firstByteMs: number;
  readonly completeMs: number;
  readonly bytes: number;
  readonly objects: number;
}

export interface ApiClient {
  /** `dueMs` is a time of performance.now(), default now. Never rejects. */
  history(appId: string, metricType: string, search: string, dueMs?: number): Promise<ApiAnswer>;
  close(): void;
}

const openBrace = 0x7b;
/** As many as a client keeps that is no attack; who finds none free waits, and its time runs. */
const maxSockets = 64;

/** The autoscaler's API server, as far as it asks for histories: mutual TLS on kept-alive connections. */
export async function createApiClient({ ports, certificates }: WrittenConfig): Promise<ApiClient> {
  const agent = new Agent({
    keepAlive: true,
    maxSockets,
    ca: await readFile(certificates.ca),
    cert: await readFile(certificates.cert),
    key: await readFile(certificates.key),
  });
  return {
    history: (appId, metricType, search, dueMs = performance.now()) =>
      new Promise((resolve) => {
        const path = `/v1/apps/${appId}/aggregated_metric_histories/${metricType}?${search}`;
        const request = get({ host: '127.0.0.1', port: ports.api, path, agent }, (response) => {
          let firstByteMs = NaN;
          let bytes = 0;
          let objects = 0;
          const { statusCode: status = 0 } = response;
          response.on('data', (chunk: Buffer) => {
            if (bytes === 0) firstByteMs = performance.now() - dueMs;
            bytes += chunk.length;
            for (let at = chunk.indexOf(openBrace); at >= 0; at = chunk.indexOf(openBrace, at + 1)) objects++;
          });
          response.on('error', broken);
          response.on('end', () => {
            resolve({ status, firstByteMs, completeMs: performance.now() - dueMs, bytes, objects });
          });
        });
        request.on('error', broken);

        function broken(): void {
          resolve({ status: 0, firstByteMs: Infinity, completeMs: Infinity, bytes: 0, objects: 0 });
        }
      }),
    close: () => agent.destroy(),
  };
}

/** Calls `send`, which must not reject, so often per second, whether or not earlier calls have ended, and collects what comes of all. */
export async function sendAtRate<T>(
  perSecond: number,
  secs: number,
  send: (i: number, dueMs: number) => Promise<T>,
): Promise<T[]> {
  const startMs = performance.now();
  const total = Math.round(perSecond * secs);
  const sent: Promise<T>[] = [];
  while (sent.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * perSecond) + 1);
    while (sent.length < due) sent.push(send(sent.length, startMs + (sent.length * 1000) / perSecond));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return Promise.all(sent);
}

import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import type { WrittenConfig } from '../platform/eventgenerator-config.js';
import type { Point } from './app-state.js';

const deadlineMs = 3000;
/** A few hundred points of 150 bytes. */
const maxAnswerBytes = 1024 * 1024;

export interface AppMetricsApi {
  /** An app's metrics after a time (wall-clock ms), oldest first. Rejects when the eventgenerator does not answer well. */
  after(appId: string, metricType: string, afterMs: number): Promise<Point[]>;
  close(): void;
}

/** Asks the eventgenerator for app metrics as the autoscaler's API server does: over mutual TLS. */
export async function openAppMetricsApi(
  config: Pick<WrittenConfig, 'ports' | 'certificates'>,
): Promise<AppMetricsApi> {
  const { ca, cert, key } = config.certificates;
  const [caPem, certPem, keyPem] = await Promise.all([ca, cert, key].map((file) => readFile(file, 'utf8')));
  const agent = new Agent({ ca: caPem, cert: certPem, key: keyPem, keepAlive: true, maxSockets: 2 });
  const base = `https://127.0.0.1:${config.ports.api}`;
  return {
    async after(appId, metricType, afterMs) {
      // App metrics lie on whole milliseconds, and nanoseconds beyond 2^53 would lose their last digits as a number.
      const query = `start=${afterMs + 1}000000&order=ASC`;
      const path = `/v1/apps/${appId}/aggregated_metric_histories/${metricType}?${query}`;
      return pointsIn(await get(`${base}${path}`, agent));
    },
    close: () => agent.destroy(),
  };
}

function get(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, signal: AbortSignal.timeout(deadlineMs) }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > maxAnswerBytes) answer.destroy(new Error('the answer is too long'));
      });
      answer.once('error', reject);
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve(text);
        else reject(new Error(`status ${answer.statusCode}: ${text.slice(0, 200)}`));
      });
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

interface AppMetricJson {
  readonly value: string;
  readonly unit: string;
  readonly timestamp: number;
}

function pointsIn(text: string): Point[] {
  const metrics = JSON.parse(text) as readonly AppMetricJson[];
  return metrics.map(({ value, unit, timestamp }) => ({
    atMs: Math.round(timestamp / 1e6),
    value: value === '' ? null : Number(value),
    unit,
  }));
}

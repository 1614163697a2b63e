import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ArrivedTrigger {
  readonly appId: string;
  /** Wall-clock milliseconds with a fraction, when the request's head was read. */
  readonly atMs: number;
  readonly metricType: string;
}

export interface ScalingEngineServer {
  readonly port: number;
  readonly triggers: readonly ArrivedTrigger[];
  close(): void;
}

const coolDownNs = 300_000_000_000n;

/** Scales every app by one and remembers when it was asked. Demands a client certificate of the given authority. */
export async function startScalingEngine(tls: {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}): Promise<ScalingEngineServer> {
  const triggers: ArrivedTrigger[] = [];
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const atMs = performance.timeOrigin + performance.now();
      const appId = /^\/v1\/apps\/([^/]+)\/scale$/.exec(request.url ?? '')?.[1];
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        if (appId === undefined) {
          response.writeHead(404).end();
          return;
        }
        const { metric_type: metricType } = JSON.parse(body) as { metric_type: string };
        triggers.push({ appId, atMs, metricType });
        const until = BigInt(Date.now()) * 1_000_000n + coolDownNs;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"app_id":"${appId}","status":0,"adjustment":1,"cool_down_expired_at":${until}}`);
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    triggers,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ScalingEngineOptions {
  readonly key: string;
  readonly cert: string;
  /** Whose clients are let in. */
  readonly ca: string;
  /** Called for each trigger with the cool-down it asks for; returns when the cool-down ends, wall-clock ms. */
  readonly triggered: (appGuid: string, coolDownMs: number) => number;
}

/**
 * A scaling engine that scales whenever it is asked, also during a cool-down: it must not hide that it was asked
 * twice. Resolves to its port.
 */
export async function startScalingEngine({ triggered, ...tls }: ScalingEngineOptions): Promise<number> {
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const guid = /^\/v1\/apps\/([^/]+)\/scale$/.exec(request.url ?? '')?.[1];
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        if (guid === undefined) {
          response.writeHead(404).end();
          return;
        }
        const { cool_down_secs: coolDownSecs } = JSON.parse(body) as { cool_down_secs: number };
        const untilNs = BigInt(Math.floor(triggered(guid, coolDownSecs * 1000) * 1000)) * 1000n;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"app_id":"${guid}","status":0,"adjustment":1,"cool_down_expired_at":${untilNs}}`);
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

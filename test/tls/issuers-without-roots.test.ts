import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createSecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import { createGrpcLogCache } from '../../src/log-cache/grpc-log-cache.js';
import { createRestLogCache } from '../../src/log-cache/rest-log-cache.js';
import { createScalingEngineClient } from '../../src/scaling-engine/scaling-engine-client.js';
import { createTokenRequest } from '../../src/uaa/token-request.js';
import { systemClock } from '../../src/util/clock.js';
import { triggerFor } from '../evaluation/examples.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { listenOnLoopback } from '../support/listen.js';
import { startHttpsServer, type HttpsServer } from './https-server.js';

/* As in Go, a CA certificate is trusted although the root that issued it is in no file here. */

/** Asks once, with this CA certificate as the only one trusted. */
type Ask = (ca: string) => Promise<unknown>;

const timeoutMs = 10_000;
const timeouts = { readTimeoutMs: timeoutMs, queryTimeoutMs: timeoutMs };
const read = { sourceId: 'app', startNs: 1n, endNs: 2n, limit: 1, names: ['cpu'], authorization: null };
const closers: (() => unknown)[] = [];
let issuer: string;
let stranger: string;
let identity: { readonly key: string; readonly cert: string };
let https: HttpsServer;
let grpcPort: number;
const grpc: { close: () => void } = { close: () => {} };
let requests = 0;

beforeAll(async () => {
  const intermediate = await (await createCertificateAuthority('Root')).intermediate('Issuer');
  issuer = intermediate.cert;
  stranger = (await createCertificateAuthority('Issuer')).cert;
  identity = await intermediate.issue({ commonName: 'eventgenerator' });
  const { key, chain } = await intermediate.issue({ commonName: 'log-cache', ipAddresses: ['127.0.0.1'] });
  https = await startHttpsServer({ key, cert: chain }, (_request, response) => {
    requests++;
    response.end('{}');
  });
  const server = createSecureServer({ key, cert: chain }, (_request, response) => {
    requests++;
    response.end();
  });
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => void sockets.push(socket));
  grpcPort = await listenOnLoopback(server);
  grpc.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
});
afterEach(async () => {
  requests = 0;
  await Promise.all(closers.splice(0).map((close) => close()));
});
afterAll(async () => {
  grpc.close();
  await https.close();
});

const clients: Readonly<Record<string, Ask>> = {
  'log-cache over HTTPS'(ca) {
    const client = createRestLogCache({ ...timeouts, ca: [ca], skipSslValidation: false, url: https.url });
    return client.read(read, () => null);
  },
  'log-cache over gRPC'(ca) {
    const address = `127.0.0.1:${grpcPort}`;
    const client = createGrpcLogCache({ ...timeouts, ca: [ca], ...identity, address });
    return client.read(read, () => null);
  },
  UAA(ca) {
    const grant = { type: 'client_credentials' } as const;
    const config = {
      clientId: 'id',
      clientSecret: 'secret',
      grant,
      skipSslValidation: false,
      url: https.url,
    };
    const { signal } = new AbortController();
    return createTokenRequest(config, { clock: systemClock, roots: fixedAuthorities([ca]), signal })();
  },
  'the scaling engine'(ca) {
    const options = { keyPair: null, roots: fixedAuthorities([ca]), timeoutMs, clock: systemClock };
    const client = createScalingEngineClient({ ...options, url: https.url });
    closers.push(() => client.close());
    return client.post(triggerFor('app'));
  },
};

test.each(Object.keys(clients))('%s', async (name) => {
  const ask = clients[name] as Ask;
  // What the responses are worth is tested elsewhere.
  await ask(stranger).catch(() => {});
  expect(requests).toBe(0);
  await ask(issuer).catch(() => {});
  expect(requests).toBe(1);
});

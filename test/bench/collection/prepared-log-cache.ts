import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { queryAnswer, readAnswer } from './prepared-answers.js';
import { startGrpcFront } from '../prepared/grpc-front.js';
import { createCertificateAuthority } from '../../support/certificates.js';

/*
 * A log-cache in a process of its own, so that what it costs is not measured. Started with fork(); says where it
 * listens, and at every message what it has served so far.
 */

export interface Listening {
  readonly url: string;
  /** Of the same log-cache over gRPC: host:port, and a certificate that it accepts. */
  readonly grpc: { readonly address: string; readonly key: string; readonly cert: string };
  /** PEM */
  readonly ca: string;
}

export interface Served {
  readonly requests: number;
  readonly bytes: number;
}

const authority = await createCertificateAuthority();
const certificate = await authority.issue({ commonName: 'log-cache', ipAddresses: ['127.0.0.1'] });
const client = await authority.issue({ commonName: 'eventgenerator' });
let requests = 0;
let bytes = 0;

const { key, chain } = certificate;
const server = createServer({ key, cert: chain, keepAlive: true }, (request, response) => {
  const body = answer(request.url ?? '/');
  response.writeHead(200, {
    'content-type': 'application/json',
    'grpc-metadata-content-type': 'application/grpc',
    'x-vcap-request-id': '6f1b1c52-9a45-4c4e-5f0e-0d7a9be1ad35',
  });
  // Chunked, as Go's reverse proxies send it.
  response.write(body);
  response.end();
});

const grpc = await startGrpcFront({
  certificate,
  clientCa: authority.cert,
  delayMs: 0,
  answer,
  answered: (messageBytes, jsonBytes) => (bytes += messageBytes - jsonBytes),
});

function answer(path: string): string {
  const url = new URL(path, 'https://log-cache');
  const parameter = (name: string) => url.searchParams.get(name) ?? '';
  const body =
    url.pathname === '/api/v1/query'
      ? queryAnswer(parameter('query'), parameter('time'))
      : readAnswer(url.pathname.slice('/api/v1/read/'.length), {
          startNs: BigInt(parameter('start_time')),
          endNs: BigInt(parameter('end_time')),
          limit: Number(parameter('limit') || 100),
          descending: parameter('descending') === 'true',
          filter: filterOf(parameter('name_filter')),
        });
  requests++;
  bytes += body.length;
  return body;
}

const filters = new Map<string, RegExp>();
function filterOf(text: string): RegExp {
  const known = filters.get(text);
  if (known) return known;
  const filter = new RegExp(text);
  filters.set(text, filter);
  return filter;
}

// As gorouter does.
server.keepAliveTimeout = 90_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({
    url: `https://127.0.0.1:${port}`,
    grpc: { address: grpc.address, key: client.key, cert: client.chain },
    ca: authority.cert,
  } satisfies Listening);
});
process.on('message', () => process.send?.({ requests, bytes } satisfies Served));
process.on('disconnect', () => process.exit());

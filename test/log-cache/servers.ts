import {
  Server as GrpcServer,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import {
  egressService,
  type InstantQueryRequestMessage,
  type InstantQueryResultMessage,
  promqlService,
  type ReadRequestMessage,
  type ReadResponseMessage,
} from '../platform/grpc-definition.js';
import type { GaugeEnvelope, TimerEnvelope } from '../../src/log-cache/log-cache.js';
import type { CertificateAuthority } from '../support/certificates.js';
import type { SimulatedStore, StoreRequest } from './simulated-log-cache.js';
import { listenOnLoopback } from '../support/listen.js';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface RestServer {
  readonly url: string;
  readonly requests: IncomingMessage[];
  /** Answers the requests that follow. */
  handler: Handler;
  close(): Promise<void>;
}

/** An HTTPS server on loopback that answers with `handler` and notes what it was asked. */
export async function serveHttps(authority: CertificateAuthority, handler: Handler): Promise<RestServer> {
  const { key, chain } = await authority.issue({ commonName: 'log-cache', ipAddresses: ['127.0.0.1'] });
  const sockets = new Set<Socket>();
  const requests: IncomingMessage[] = [];
  const server: Server = createServer({ key, cert: chain }, (request, response) => {
    requests.push(request);
    rest.handler(request, response);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listenOnLoopback(server);
  const rest: RestServer = {
    url: `https://127.0.0.1:${port}`,
    requests,
    handler,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return rest;
}

/** Answers as log-cache's gateway does, from a store. */
export function restHandler(store: SimulatedStore): Handler {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'https://log-cache');
    const parameter = (name: string) => url.searchParams.get(name) ?? '';
    response.setHeader('content-type', 'application/json');
    if (url.pathname === '/api/v1/query') {
      const samples = store.query({ query: parameter('query'), timeSecs: Number(parameter('time')) });
      const result = samples.map(({ labels, value }) => ({ metric: labels, value: [0, goNumber(value)] }));
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
      return;
    }
    if (parameter('limit') === '1') {
      const timestamps = store.oldest({
        sourceId: decodeURIComponent(url.pathname.split('/').at(-1) ?? ''),
        startNs: BigInt(parameter('start_time')),
        endNs: BigInt(parameter('end_time')),
        authorization: null,
      });
      const batch = timestamps.map((time) => ({ timestamp: String(time), source_id: '', instance_id: '' }));
      response.end(JSON.stringify({ envelopes: { batch } }));
      return;
    }
    const batch = batchOf(store, {
      sourceId: decodeURIComponent(url.pathname.split('/').at(-1) ?? ''),
      startNs: BigInt(parameter('start_time')),
      endNs: BigInt(parameter('end_time')),
      limit: Number(parameter('limit')),
      nameFilter: parameter('name_filter'),
      types: parameter('envelope_types'),
      descending: parameter('descending') === 'true',
    });
    if (!batch) {
      response.writeHead(400).end('only gauges and http timers, newest first');
      return;
    }
    response.end(JSON.stringify({ envelopes: { batch } }, protoJson));
  };
}

export interface GrpcLogCacheServer {
  readonly address: string;
  /** Called instead of the store while set. */
  fault: ((callback: sendUnaryData<never>, call: { getPeer(): string }) => void) | null;
  /** Who asked, by the common name of the client certificate. */
  readonly callers: string[];
  close(): void;
}

type Call<Request> = Pick<ServerUnaryCall<Request, never>, 'request' | 'getPeer' | 'getAuthContext'>;

/** log-cache's gRPC API with mutual TLS on loopback, from a store. */
export async function serveGrpc(
  authority: CertificateAuthority,
  store: SimulatedStore,
  { dnsNames = ['log-cache', 'log_cache', 'logcache'], port = 0 } = {},
): Promise<GrpcLogCacheServer> {
  const { key, chain } = await authority.issue({ commonName: 'log-cache', dnsNames });
  const server = new GrpcServer({ 'grpc.max_send_message_length': -1 });
  server.addService(egressService, {
    Read(call: Call<ReadRequestMessage>, callback: sendUnaryData<ReadResponseMessage>) {
      grpc.callers.push(callerOf(call));
      if (grpc.fault) return grpc.fault(callback, call);
      const batch = pageOf(store, call.request);
      if (batch) callback(null, { envelopes: { batch } });
      else callback({ code: 3, details: 'only gauges and http timers, newest first' });
    },
  });
  server.addService(promqlService, {
    InstantQuery(call: Call<InstantQueryRequestMessage>, callback: sendUnaryData<InstantQueryResultMessage>) {
      const { request } = call;
      grpc.callers.push(callerOf(call));
      if (grpc.fault) return grpc.fault(callback, call);
      const samples = store.query({ query: request.query, timeSecs: Number(request.time) });
      const messages = samples.map(({ labels, value }) => ({
        metric: labels,
        point: { time: '0.000', value },
      }));
      callback(null, { vector: { samples: messages } });
    },
  });
  const serverCredentials = ServerCredentials.createSsl(
    Buffer.from(authority.cert),
    [{ private_key: Buffer.from(key), cert_chain: Buffer.from(chain) }],
    true,
  );
  const boundPort = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, serverCredentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const grpc: GrpcLogCacheServer = {
    address: `127.0.0.1:${boundPort}`,
    fault: null,
    callers: [],
    close: () => server.forceShutdown(),
  };
  return grpc;
}

function callerOf(call: Call<unknown>): string {
  return String(call.getAuthContext().sslPeerCertificate?.subject.CN);
}

/** null: nobody should ask so. */
function pageOf(store: SimulatedStore, request: ReadRequestMessage) {
  const source = {
    sourceId: request.source_id,
    startNs: BigInt(request.start_time),
    endNs: BigInt(request.end_time),
  };
  if (request.limit === '1') {
    return store.oldest({ ...source, authorization: null }).map((time) => ({
      timestamp: String(time),
      source_id: request.source_id,
      instance_id: '',
      tags: {},
    }));
  }
  return batchOf(store, {
    ...source,
    limit: Number(request.limit),
    nameFilter: request.name_filter,
    types: request.envelope_types.join(),
    descending: request.descending,
  });
}

/** null: nobody should ask so. */
function batchOf(
  store: SimulatedStore,
  { types, descending, ...request }: StoreRequest & { types: string; descending: boolean },
) {
  if (descending && types === 'GAUGE') return store.read(request).map(envelopeMessage);
  if (!descending || types !== 'TIMER' || request.nameFilter !== '^(http)$') return null;
  return store.readTimers(request).map(timerMessage);
}

function timerMessage({ timestamp, sourceId, instanceId, tags, durationNs }: TimerEnvelope) {
  const start = String(BigInt(timestamp) - BigInt(durationNs));
  return {
    timestamp,
    source_id: sourceId,
    instance_id: instanceId,
    deprecated_tags: {},
    tags,
    timer: { name: 'http', start, stop: timestamp },
  };
}

function envelopeMessage(envelope: GaugeEnvelope) {
  const { timestamp, sourceId, instanceId, tags, metrics } = envelope;
  return {
    timestamp,
    source_id: sourceId,
    instance_id: instanceId,
    deprecated_tags: {},
    tags,
    gauge: { metrics: Object.fromEntries(metrics.map(({ name, unit, value }) => [name, { unit, value }])) },
  };
}

/** proto JSON has strings for what JSON numbers cannot say. */
function protoJson(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function goNumber(value: number): string {
  return String(value).replace('Infinity', 'Inf').replace(/^Inf/, '+Inf');
}

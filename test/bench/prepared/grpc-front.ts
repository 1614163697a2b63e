import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../support/silent-logger.js';
import { systemClock } from '../../../src/util/clock.js';
import { egressService, type EnvelopeMessage, promqlService } from '../../platform/grpc-definition.js';
import { type GrpcExchange, grpcStatus } from '../../platform/grpc-exchange.js';
import { GrpcService } from '../../platform/grpc-service.js';
import type { IssuedCertificate } from '../../support/certificates.js';

export interface GrpcFrontOptions {
  readonly certificate: IssuedCertificate;
  /** PEM; clients must show a certificate of this authority. */
  readonly clientCa: string;
  /** From a request to its answer. */
  readonly delayMs: number;
  /** What log-cache answers to the same request over HTTP: a JSON body, or null where it is refused. */
  readonly answer: (path: string) => string | null;
  /** How many bytes the message has in place of the JSON body. */
  readonly answered: (bytes: number, jsonBytes: number) => void;
}

/**
 * The prepared log-cache over gRPC: what it answers over HTTP, as protobuf. That costs more than an answer over HTTP,
 * so that the platform's processor time is not to be compared.
 */
export async function startGrpcFront(options: GrpcFrontOptions): Promise<GrpcService> {
  const service = new GrpcService({
    ...options,
    name: 'prepared log-cache',
    port: 0,
    clock: systemClock,
    log: silentLogger,
    handle: (exchange) => handle(exchange, options),
  });
  await service.start();
  return service;
}

async function handle(
  exchange: GrpcExchange,
  { delayMs, answer, answered }: GrpcFrontOptions,
): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const isRead = exchange.path === egressService.Read.path;
  const json = answer(isRead ? readPath(message) : queryPath(message));
  if (delayMs > 0) await sleep(delayMs);
  if (json === null) return exchange.refuse(grpcStatus.invalidArgument, 'no benchmark asks so');
  const response = isRead ? readResponse(json) : queryResponse(json);
  answered(response.length, json.length);
  exchange.answer(response);
}

function readPath(message: Buffer): string {
  const request = egressService.Read.requestDeserialize(message);
  const parameters = new URLSearchParams({
    start_time: request.start_time,
    end_time: request.end_time,
    envelope_types: request.envelope_types.join(),
    descending: String(request.descending),
    limit: request.limit,
    name_filter: request.name_filter,
  });
  return `/api/v1/read/${request.source_id}?${parameters.toString()}`;
}

function queryPath(message: Buffer): string {
  const { query, time } = promqlService.InstantQuery.requestDeserialize(message);
  return `/api/v1/query?${new URLSearchParams({ query, time }).toString()}`;
}

function readResponse(json: string): Buffer {
  const { envelopes } = JSON.parse(json) as { envelopes: { batch: EnvelopeMessage[] } };
  return egressService.Read.responseSerialize({ envelopes });
}

function queryResponse(json: string): Buffer {
  interface Sample {
    readonly metric: Readonly<Record<string, string>>;
    readonly value: readonly [number, string];
  }
  const { data } = JSON.parse(json) as { data: { result: Sample[] } };
  const samples = data.result.map(({ metric, value: [time, value] }) => ({
    metric,
    point: { time: time.toFixed(3), value: Number(value) },
  }));
  return promqlService.InstantQuery.responseSerialize({ vector: { samples } });
}

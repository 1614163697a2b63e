import {
  egressService,
  promqlService,
  type EnvelopeMessage,
  type InstantQueryResultMessage,
  type ReadRequestMessage,
} from './grpc-definition.js';
import type { Books } from './books.js';
import { envelopeTypes, nanoseconds, type Envelope } from './envelope.js';
import { hasFault } from './exchange.js';
import type { FaultSwitch } from './faults.js';
import { grpcStatus, type GrpcExchange } from './grpc-exchange.js';
import { itemsIn, pageUnder } from './log-cache-answers.js';
import type { LogCacheRoute } from './log-cache-route.js';
import { ReadRefused, type LogCacheStore, type ReadParameters } from './log-cache-store.js';
import { SourceTooSlow, type QueryCost } from './promql/cost.js';
import type { PromqlResult } from './promql/evaluate.js';
import { PromqlParseError, selectorsOf, sourceIdsOf } from './promql/expression.js';
import { parsePromql } from './promql/parse.js';
import { PromqlEngineError } from './promql/series.js';

export interface GrpcDependencies {
  readonly store: LogCacheStore;
  readonly route: Pick<LogCacheRoute, 'isUp'>;
  readonly cost: Pick<QueryCost, 'paid'>;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served'>;
}

/**
 * log-cache's own API, which a client certificate opens for all apps: no auth proxy looks at a token, and none prints
 * the query anew, so that ranges of several units work here.
 */
export function logCacheGrpcHandler(logCache: GrpcDependencies): (exchange: GrpcExchange) => Promise<void> {
  return async (exchange) => {
    if (!logCache.route.isUp('logCache')) {
      exchange.refuse(grpcStatus.unavailable, 'log-cache is down');
      return;
    }
    switch (exchange.path) {
      case egressService.Read.path:
        return serveRead(logCache, exchange);
      case promqlService.InstantQuery.path:
        return serveQuery(logCache, exchange);
      default:
        exchange.refuse(grpcStatus.unimplemented, `unknown method ${exchange.path}`);
    }
  };
}

async function serveRead({ store, faults, books }: GrpcDependencies, exchange: GrpcExchange): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const request = egressService.Read.requestDeserialize(message);
  const operation = request.envelope_types.join() === 'GAUGE' ? 'gauges' : 'read';
  const met = faults.meet('logCache', operation, [request.source_id]);
  let items = 0;
  if (!(await exchange.suffer(met))) {
    if (hasFault(met, 'unauthorized')) {
      exchange.refuse(grpcStatus.permissionDenied, 'not authorized');
    } else {
      await answerOrRefuse(exchange, () => {
        const envelopes = pageUnder(met, store, parametersOf(request));
        items = envelopes.length;
        return egressService.Read.responseSerialize({ envelopes: { batch: envelopes.map(envelopeMessage) } });
      });
    }
  }
  books.served('read', exchange, items);
}

async function serveQuery(
  { store, cost, faults, books }: GrpcDependencies,
  exchange: GrpcExchange,
): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const { query, time } = promqlService.InstantQuery.requestDeserialize(message);
  const met = faults.meet('logCache', 'query', sourceIdsIn(query));
  let items = 0;
  if (!(await exchange.suffer(met))) {
    if (hasFault(met, 'unauthorized')) {
      exchange.refuse(grpcStatus.permissionDenied, 'not authorized');
    } else if (hasFault(met, 'empty')) {
      exchange.answer(promqlService.InstantQuery.responseSerialize({ vector: { samples: [] } }));
    } else {
      await answerOrRefuse(exchange, async () => {
        await cost.paid(query, time, exchange.gone);
        const { result, timeMs } = store.instantQuery(query, time);
        items = itemsIn(result);
        return promqlService.InstantQuery.responseSerialize(resultMessage(result, timeMs));
      });
    }
  }
  books.served('query', exchange, items);
}

/** Whatever log-cache refuses, it refuses with UNKNOWN and a text; only a deadline has a code of its own. */
async function answerOrRefuse(exchange: GrpcExchange, answer: () => Buffer | Promise<Buffer>): Promise<void> {
  try {
    exchange.answer(await answer());
  } catch (error) {
    if (error instanceof SourceTooSlow) {
      exchange.refuse(grpcStatus.deadlineExceeded, error.message);
      return;
    }
    const refused =
      error instanceof ReadRefused || error instanceof PromqlParseError || error instanceof PromqlEngineError;
    if (!refused) throw error;
    exchange.refuse(grpcStatus.unknown, error.message);
  }
}

function parametersOf(request: ReadRequestMessage): ReadParameters {
  return {
    sourceId: request.source_id,
    startNs: BigInt(request.start_time),
    endNs: BigInt(request.end_time),
    limit: Number(request.limit),
    // ANY means no filter, so it adds nothing.
    types: envelopeTypes.filter((type) => request.envelope_types.includes(type)),
    descending: request.descending,
    nameFilter: request.name_filter,
  };
}

/** The apps a query is about, as far as it can be read. */
function sourceIdsIn(query: string): string[] {
  try {
    return selectorsOf(parsePromql(query)).flatMap(sourceIdsOf);
  } catch {
    return [];
  }
}

function envelopeMessage({ timestampUs, sourceId, instanceId, tags, body }: Envelope): EnvelopeMessage {
  return {
    timestamp: nanoseconds(timestampUs),
    source_id: sourceId,
    instance_id: instanceId,
    tags,
    ...bodyMessage(body),
  };
}

function bodyMessage(body: Envelope['body']): object {
  switch (body.type) {
    case 'GAUGE':
      return { gauge: { metrics: body.metrics } };
    case 'COUNTER':
      return { counter: { name: body.name, delta: '0', total: String(body.total) } };
    case 'TIMER':
      return {
        timer: { name: body.name, start: nanoseconds(body.startUs), stop: nanoseconds(body.stopUs) },
      };
    case 'LOG':
      return { log: { payload: Buffer.from(body.payload), type: 'OUT' } };
    case 'EVENT':
      return { event: { title: body.title, body: body.body } };
  }
}

function resultMessage(result: PromqlResult, timeMs: number): InstantQueryResultMessage & object {
  const point = (ms: number, value: number) => ({ time: (ms / 1000).toFixed(3), value });
  switch (result.type) {
    case 'scalar':
      return { scalar: point(timeMs, result.value) } as object;
    case 'vector': {
      const samples = result.samples.map(({ labels, value }) => ({
        metric: labels,
        point: point(timeMs, value),
      }));
      return { vector: { samples } };
    }
    case 'matrix': {
      const series = result.series.map(({ labels, points }) => ({
        metric: labels,
        points: points.map(({ timeUs, value }) => point(timeUs / 1000, value)),
      }));
      return { matrix: { series } } as object;
    }
  }
}

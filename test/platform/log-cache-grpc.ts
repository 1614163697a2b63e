import type { Clock } from '../../src/util/clock.js';
import type { Apps } from './apps.js';
import type { Books, ServedKind } from './books.js';
import { envelopeTypes } from './envelope.js';
import { hasFault } from './exchange.js';
import type { ActiveFault, FaultSwitch } from './faults.js';
import { egressService, promqlService, type ReadRequestMessage } from './grpc-definition.js';
import { grpcStatus, type GrpcExchange } from './grpc-exchange.js';
import { envelopeMessage, metaMessage, resultMessage } from './grpc-messages.js';
import { itemsIn, pageUnder } from './log-cache-answers.js';
import type { LogCacheRoute } from './log-cache-route.js';
import { ReadRefused, type LogCacheStore, type ReadParameters } from './log-cache-store.js';
import { SourceTooSlow, type QueryCost } from './promql/cost.js';
import type { PromqlResult } from './promql/evaluate.js';
import { PromqlParseError, selectorsOf, sourceIdsOf } from './promql/expression.js';
import { parsePromql } from './promql/parse.js';
import { instantQueryOf, rangeQueryOf, type PromqlQuery } from './promql/query.js';
import { PromqlEngineError } from './promql/series.js';
import { metaOfSources } from './source-meta.js';

export interface GrpcDependencies {
  readonly store: LogCacheStore;
  readonly apps: Apps;
  readonly clock: Pick<Clock, 'now'>;
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
      case egressService.Meta.path:
        return serveMeta(logCache, exchange);
      case promqlService.InstantQuery.path:
        return serveInstantQuery(logCache, exchange);
      case promqlService.RangeQuery.path:
        return serveRangeQuery(logCache, exchange);
      default:
        exchange.refuse(grpcStatus.unimplemented, `unknown method ${exchange.path}`);
    }
  };
}

async function serveRead(logCache: GrpcDependencies, exchange: GrpcExchange): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const request = egressService.Read.requestDeserialize(message);
  const operation = request.envelope_types.join() === 'GAUGE' ? 'gauges' : 'read';
  const met = logCache.faults.meet('logCache', operation, [request.source_id]);
  await serveUnder(met, 'read', exchange, logCache.books, () => {
    const envelopes = pageUnder(met, logCache.store, parametersOf(request));
    const batch = envelopes.map(envelopeMessage);
    return {
      message: egressService.Read.responseSerialize({ envelopes: { batch } }),
      items: envelopes.length,
    };
  });
}

async function serveInstantQuery(logCache: GrpcDependencies, exchange: GrpcExchange): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const { query, time } = promqlService.InstantQuery.requestDeserialize(message);
  await serveQuery(logCache, exchange, query, {
    parse: () => instantQueryOf(query, time, logCache.clock.now()),
    empty: { type: 'vector', samples: [] },
    serialize: (result, { startMs }) =>
      promqlService.InstantQuery.responseSerialize(resultMessage(result, startMs)),
  });
}

async function serveRangeQuery(logCache: GrpcDependencies, exchange: GrpcExchange): Promise<void> {
  const message = await exchange.message();
  if (!message) return;
  const { query, ...texts } = promqlService.RangeQuery.requestDeserialize(message);
  await serveQuery(logCache, exchange, query, {
    parse: () => rangeQueryOf(query, texts),
    empty: { type: 'matrix', series: [] },
    serialize: (result, { startMs }) =>
      promqlService.RangeQuery.responseSerialize(resultMessage(result, startMs)),
  });
}

interface QueryMethod {
  readonly parse: () => PromqlQuery;
  readonly empty: PromqlResult;
  readonly serialize: (result: PromqlResult, times: PromqlQuery['times']) => Buffer;
}

async function serveQuery(
  { store, cost, faults, books }: GrpcDependencies,
  exchange: GrpcExchange,
  text: string,
  { parse, empty, serialize }: QueryMethod,
): Promise<void> {
  const met = faults.meet('logCache', 'query', sourceIdsIn(text));
  await serveUnder(met, 'query', exchange, books, async () => {
    const query = parse();
    const isEmpty = hasFault(met, 'empty');
    if (!isEmpty) await cost.paid(query, exchange.gone);
    const result = isEmpty ? empty : store.evaluate(query);
    return { message: serialize(result, query.times), items: itemsIn(result) };
  });
}

async function serveMeta(
  { store, apps, faults, books }: GrpcDependencies,
  exchange: GrpcExchange,
): Promise<void> {
  if (!(await exchange.message())) return;
  const met = faults.meet('logCache', 'meta');
  await serveUnder(met, 'meta', exchange, books, () => {
    const metas = hasFault(met, 'empty') ? new Map<string, never>() : metaOfSources(store, apps);
    return { message: egressService.Meta.responseSerialize({ meta: metaMessage(metas) }), items: metas.size };
  });
}

interface GrpcAnswer {
  readonly message: Buffer;
  /** Envelopes, samples, series or sources in it. */
  readonly items: number;
}

/** Answers, unless a fault does it instead, and enters that into the books. */
async function serveUnder(
  met: readonly ActiveFault[],
  kind: ServedKind,
  exchange: GrpcExchange,
  books: Pick<Books, 'served'>,
  answerOf: () => GrpcAnswer | Promise<GrpcAnswer>,
): Promise<void> {
  let items = 0;
  if (!(await exchange.suffer(met))) {
    if (hasFault(met, 'unauthorized')) exchange.refuse(grpcStatus.permissionDenied, 'not authorized');
    else items = await answerOrRefuse(exchange, answerOf);
  }
  books.served(kind, exchange, items);
}

/**
 * Returns how many items were answered. Whatever log-cache refuses, it refuses with UNKNOWN and a text; only a deadline
 * has a code of its own.
 */
async function answerOrRefuse(
  exchange: GrpcExchange,
  answerOf: () => GrpcAnswer | Promise<GrpcAnswer>,
): Promise<number> {
  try {
    const { message, items } = await answerOf();
    exchange.answer(message);
    return items;
  } catch (error) {
    if (error instanceof SourceTooSlow) {
      exchange.refuse(grpcStatus.deadlineExceeded, error.message);
      return 0;
    }
    const refused =
      error instanceof ReadRefused || error instanceof PromqlParseError || error instanceof PromqlEngineError;
    if (!refused) throw error;
    exchange.refuse(grpcStatus.unknown, error.message);
    return 0;
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

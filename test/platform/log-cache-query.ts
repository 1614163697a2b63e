import type { Clock } from '../../src/util/clock.js';
import type { AuthProxy } from './auth-proxy.js';
import type { Books } from './books.js';
import type { CloudController } from './cloud-controller.js';
import { hasFault, type Exchange } from './exchange.js';
import type { ActiveFault, FaultSwitch } from './faults.js';
import { itemsIn } from './log-cache-answers.js';
import {
  gatewayHeaders,
  noGateway,
  notFound,
  serveUnder,
  unavailable,
  type Counted,
} from './log-cache-gateway.js';
import type { LogCacheRoute } from './log-cache-route.js';
import type { LogCacheStore } from './log-cache-store.js';
import { queryAnswerJson, queryErrorJson } from './promql/answer.js';
import { SourceTooSlow, type QueryCost } from './promql/cost.js';
import { PromqlParseError, selectorsOf, sourceIdsOf, type Expression } from './promql/expression.js';
import { parsePromql } from './promql/parse.js';
import { instantQueryOf, rangeQueryOf, type PromqlQuery } from './promql/query.js';
import { checkReprinted } from './promql/reprint.js';
import { PromqlEngineError } from './promql/series.js';
import { BadParameter, single } from './read-parameters.js';

export interface QueryDependencies {
  readonly store: Pick<LogCacheStore, 'evaluate'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly cost: Pick<QueryCost, 'paid'>;
  readonly proxy: AuthProxy;
  readonly route: LogCacheRoute;
  readonly cloudController: CloudController;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served'>;
}

type Kind = PromqlQuery['kind'];

const empty = {
  instant: { type: 'vector', samples: [] },
  range: { type: 'matrix', series: [] },
} as const;

/** /api/v1/query and /api/v1/query_range */
export async function serveQuery(logCache: QueryDependencies, exchange: Exchange, kind: Kind): Promise<void> {
  const parsed = parseAtProxy(exchange.url.searchParams.get('query') ?? '');
  const sourceIds = parsed instanceof PromqlParseError ? [] : selectorsOf(parsed).flatMap(sourceIdsOf);
  const faults = logCache.faults.meet('logCache', 'query', sourceIds);
  await serveUnder(faults, 'query', exchange, logCache.books, async () => {
    const refused = await refusal(logCache, exchange, parsed, sourceIds, faults);
    return refused ?? queryAnswer(logCache, exchange, kind, faults);
  });
}

function parseAtProxy(query: string): Expression | PromqlParseError {
  try {
    return parsePromql(query);
  } catch (error) {
    if (error instanceof PromqlParseError) return error;
    throw error;
  }
}

/**
 * What the proxy or the gateway says instead of asking log-cache, in their order: is there a token at all, is the query
 * good, is the token good, what does Cloud Controller say, who is there, is it a GET.
 */
async function refusal(
  { proxy, route, cloudController }: QueryDependencies,
  exchange: Exchange,
  parsed: Expression | PromqlParseError,
  sourceIds: readonly string[],
  faults: readonly ActiveFault[],
): Promise<Counted | undefined> {
  const authorization = exchange.header('authorization');
  if (authorization === undefined || hasFault(faults, 'unauthorized')) return notFound;
  if (parsed instanceof PromqlParseError) return failed(400, 'bad_data', parsed.message);
  if (sourceIds.length === 0) return failed(400, 'bad_data', 'query does not request any source_ids');
  if (!proxy.allows(authorization, [])) return notFound;
  const canAsk = await cloudController.answers(sourceIds, exchange.gone);
  if (!proxy.allows(authorization, sourceIds, canAsk)) return notFound;
  if (!route.isUp('gateway')) return noGateway;
  if (!route.gatewayIsConnected) return failed(503, 'internal', unavailable);
  if (exchange.method !== 'GET') return failed(501, 'internal', 'Method Not Allowed');
  return undefined;
}

async function queryAnswer(
  { store, clock, cost }: QueryDependencies,
  exchange: Exchange,
  kind: Kind,
  faults: readonly ActiveFault[],
): Promise<Counted> {
  try {
    const query = queryOf(kind, exchange.url.searchParams, clock.now());
    checkReprinted(query.expression);
    const isEmpty = hasFault(faults, 'empty');
    if (!isEmpty) await cost.paid(query, exchange.gone);
    const result = isEmpty ? empty[kind] : store.evaluate(query);
    const body = queryAnswerJson(result, query.times.startMs);
    return { status: 200, body, headers: gatewayHeaders, items: itemsIn(result) };
  } catch (error) {
    if (error instanceof BadParameter) return failed(400, 'internal', error.message);
    if (error instanceof SourceTooSlow) return failed(504, 'internal', error.message);
    if (error instanceof PromqlParseError || error instanceof PromqlEngineError) {
      return failed(500, 'internal', error.message);
    }
    throw error;
  }
}

/** As the gateway reads it. Throws BadParameter, and what log-cache says to it. */
function queryOf(kind: Kind, parameters: URLSearchParams, nowMs: number): PromqlQuery {
  const query = parameters.get('query') ?? '';
  const text = (name: string) => single(parameters, name) ?? '';
  if (kind === 'instant') return instantQueryOf(query, text('time'), nowMs);
  return rangeQueryOf(query, { start: text('start'), end: text('end'), step: text('step') });
}

function failed(status: number, errorType: 'bad_data' | 'internal', error: string): Counted {
  const headers = { 'content-type': 'application/json' };
  return { status, body: queryErrorJson(errorType, error), headers };
}

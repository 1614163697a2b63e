import type { AuthProxy } from './auth-proxy.js';
import type { Books } from './books.js';
import type { CloudController } from './cloud-controller.js';
import { readAnswerJson } from './envelope.js';
import { hasFault, type Answer, type Exchange } from './exchange.js';
import type { ActiveFault, FaultSwitch } from './faults.js';
import { itemsIn, pageUnder } from './log-cache-answers.js';
import type { LogCacheRoute } from './log-cache-route.js';
import { ReadRefused, type LogCacheStore } from './log-cache-store.js';
import { queryAnswerJson, queryErrorJson } from './promql/answer.js';
import { SourceTooSlow, type QueryCost } from './promql/cost.js';
import { PromqlParseError, selectorsOf, sourceIdsOf, type Expression } from './promql/expression.js';
import { parsePromql } from './promql/parse.js';
import { checkReprinted } from './promql/reprint.js';
import { PromqlEngineError } from './promql/series.js';
import { BadParameter, readParametersOf } from './read-parameters.js';

export interface LogCacheDependencies {
  readonly store: LogCacheStore;
  readonly cost: Pick<QueryCost, 'paid'>;
  readonly proxy: AuthProxy;
  readonly route: LogCacheRoute;
  readonly cloudController: CloudController;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served'>;
}

interface Counted extends Answer {
  /** Envelopes, samples or series in the answer. */
  readonly items?: number;
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' };
const notFound: Answer = { status: 404 };
/** gorouter's answer where nothing listens behind the route. */
const noEndpoints: Answer = {
  status: 503,
  body: "503 Service Unavailable: Requested route ('log-cache.example.com') has no available endpoints.\n",
  headers: { 'content-type': 'text/plain; charset=utf-8', 'x-cf-routererror': 'no_endpoints' },
};
/** The proxy's answer where the gateway does not listen. */
const noGateway: Answer = { status: 502 };
const invalidText = 'grpc: error while marshaling: string field contains invalid UTF-8';
const unavailable =
  'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:8080: connect: connection refused"';
const gatewayHeaders = {
  'content-type': 'application/json',
  'grpc-metadata-content-type': 'application/grpc',
};
const emptyVector = '{"status":"success","data":{"resultType":"vector","result":[]}}\n';

/** log-cache over HTTPS: the auth proxy in front, the gateway behind it. */
export function logCacheHandler(logCache: LogCacheDependencies): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const { pathname } = exchange.url;
    if (!logCache.route.isUp('proxy')) {
      exchange.answer(noEndpoints);
      return;
    }
    if (isNotEncoded(exchange.path)) {
      exchange.answer({ status: 400, body: '400 Bad Request', headers: plainText });
      return;
    }
    if (/\/\.\.?(?:\/|$)/.test(exchange.path)) {
      exchange.answer({ status: 307, headers: { location: pathname + exchange.url.search } });
      return;
    }
    const sourceId = /^\/api\/v1\/read\/([^/]+)$/.exec(pathname)?.[1];
    if (pathname === '/api/v1/info') {
      const faults = logCache.faults.meet('logCache', 'info');
      if (!(await exchange.suffer(faults))) exchange.answer(infoAnswer());
      logCache.books.served('info', exchange);
    } else if (sourceId !== undefined) {
      await serveRead(logCache, exchange, sourceId);
    } else if (pathname === '/api/v1/query') {
      await serveQuery(logCache, exchange);
    } else if (pathname === '/api/v1/query_range') {
      exchange.answer({ status: 501, body: queryErrorJson('bad_data', 'Metrics not available') });
    } else {
      exchange.answer({ ...notFound, body: '404 page not found\n', headers: plainText });
    }
  };
}

function infoAnswer(): Answer {
  return {
    status: 200,
    body: '{"version":"3.2.12","vm_uptime":"789"}\n',
    headers: plainText,
  };
}

async function serveRead(
  logCache: LogCacheDependencies,
  exchange: Exchange,
  encodedId: string,
): Promise<void> {
  const sourceId = decode(encodedId);
  const operation = exchange.url.searchParams.get('envelope_types') === 'GAUGE' ? 'gauges' : 'read';
  const faults = logCache.faults.meet('logCache', operation, sourceId === undefined ? [] : [sourceId]);
  let items = 0;
  if (!(await exchange.suffer(faults))) {
    const answer = readAnswer(logCache, exchange, sourceId, faults);
    items = answer.items ?? 0;
    exchange.answer(answer);
  }
  logCache.books.served('read', exchange, items);
}

function readAnswer(
  { store, proxy, route }: LogCacheDependencies,
  exchange: Exchange,
  sourceId: string | undefined,
  faults: readonly ActiveFault[],
): Counted {
  const refused = hasFault(faults, 'unauthorized');
  if (refused || !proxy.allows(exchange.header('authorization'), [sourceId ?? ''])) return notFound;
  if (!route.isUp('gateway')) return noGateway;
  if (!route.gatewayIsConnected) return gatewayError(503, 14, unavailable);
  if (exchange.method !== 'GET') return gatewayError(501, 12, 'Method Not Allowed');
  try {
    if (sourceId === undefined) return gatewayError(500, 13, invalidText);
    const parameters = readParametersOf(sourceId, exchange.url.searchParams);
    const envelopes = pageUnder(faults, store, parameters);
    return {
      status: 200,
      body: readAnswerJson(envelopes),
      headers: gatewayHeaders,
      items: envelopes.length,
    };
  } catch (error) {
    if (error instanceof BadParameter) return gatewayError(400, 3, error.message);
    if (error instanceof ReadRefused) return gatewayError(500, 2, error.message);
    throw error;
  }
}

function gatewayError(status: number, code: number, message: string): Answer {
  return { status, body: JSON.stringify({ code, message, details: [] }), headers: gatewayHeaders };
}

async function serveQuery(logCache: LogCacheDependencies, exchange: Exchange): Promise<void> {
  const parsed = parseAtProxy(exchange.url.searchParams.get('query') ?? '');
  const sourceIds = parsed instanceof PromqlParseError ? [] : selectorsOf(parsed).flatMap(sourceIdsOf);
  const faults = logCache.faults.meet('logCache', 'query', sourceIds);
  let items = 0;
  if (!(await exchange.suffer(faults))) {
    const answer = await queryAnswer(logCache, exchange, parsed, sourceIds, faults);
    items = answer.items ?? 0;
    exchange.answer({ ...answer, headers: { 'content-type': 'application/json' } });
  }
  logCache.books.served('query', exchange, items);
}

function parseAtProxy(query: string): Expression | PromqlParseError {
  try {
    return parsePromql(query);
  } catch (error) {
    if (error instanceof PromqlParseError) return error;
    throw error;
  }
}

/** In the proxy's order: is there a token at all, is the query good, is the token good, what does Cloud Controller say. */
async function queryAnswer(
  { store, proxy, route, cloudController, cost }: LogCacheDependencies,
  exchange: Exchange,
  parsed: Expression | PromqlParseError,
  sourceIds: readonly string[],
  faults: readonly ActiveFault[],
): Promise<Counted> {
  const authorization = exchange.header('authorization');
  if (authorization === undefined || hasFault(faults, 'unauthorized')) return notFound;
  if (parsed instanceof PromqlParseError) {
    return { status: 400, body: queryErrorJson('bad_data', parsed.message) };
  }
  if (sourceIds.length === 0) {
    return { status: 400, body: queryErrorJson('bad_data', 'query does not request any source_ids') };
  }
  if (!proxy.allows(authorization, [])) return notFound;
  const canAsk = await cloudController.answers(sourceIds, exchange.gone);
  if (!proxy.allows(authorization, sourceIds, canAsk)) return notFound;
  if (!route.isUp('gateway')) return noGateway;
  if (!route.gatewayIsConnected) return { status: 503, body: queryErrorJson('internal', unavailable) };
  if (exchange.method !== 'GET')
    return { status: 501, body: queryErrorJson('bad_data', 'Method Not Allowed') };
  if (hasFault(faults, 'empty')) return { status: 200, body: emptyVector };
  const { searchParams } = exchange.url;
  try {
    checkReprinted(parsed);
    const [query, time] = [searchParams.get('query') ?? '', searchParams.get('time')];
    await cost.paid(query, time, exchange.gone);
    const { result, timeMs } = store.instantQuery(query, time);
    return { status: 200, body: queryAnswerJson(result, timeMs), items: itemsIn(result) };
  } catch (error) {
    if (error instanceof SourceTooSlow) {
      return { status: 504, body: queryErrorJson('internal', error.message) };
    }
    if (error instanceof PromqlParseError || error instanceof PromqlEngineError) {
      return { status: 500, body: queryErrorJson('internal', error.message) };
    }
    throw error;
  }
}

/** A percent sign without two digits: Go's server does not even look at the request. */
function isNotEncoded(path: string): boolean {
  return /%(?![0-9a-f]{2})/i.test(path);
}

/** A segment of a path; undefined where it is no UTF-8, which the gateway cannot put into a message. */
function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

import { readAnswerJson } from './envelope.js';
import { hasFault, type Answer, type Exchange } from './exchange.js';
import type { ActiveFault } from './faults.js';
import { pageUnder } from './log-cache-answers.js';
import {
  gatewayHeaders,
  noGateway,
  notFound,
  serveUnder,
  unavailable,
  type Counted,
} from './log-cache-gateway.js';
import { serveMeta, type MetaDependencies } from './log-cache-meta.js';
import { serveQuery, type QueryDependencies } from './log-cache-query.js';
import { ReadRefused, type LogCacheStore } from './log-cache-store.js';
import { BadParameter, readParametersOf } from './read-parameters.js';

interface LogCacheDependencies extends MetaDependencies, QueryDependencies {
  readonly store: LogCacheStore;
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' };
/** gorouter's answer where nothing listens behind the route. */
const noEndpoints: Answer = {
  status: 503,
  body: "503 Service Unavailable: Requested route ('log-cache.example.com') has no available endpoints.\n",
  headers: { 'content-type': 'text/plain; charset=utf-8', 'x-cf-routererror': 'no_endpoints' },
};
const invalidText = 'grpc: error while marshaling: string field contains invalid UTF-8';

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
      await serveQuery(logCache, exchange, 'instant');
    } else if (pathname === '/api/v1/query_range') {
      await serveQuery(logCache, exchange, 'range');
    } else if (pathname === '/api/v1/meta') {
      await serveMeta(logCache, exchange);
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
  await serveUnder(faults, 'read', exchange, logCache.books, () =>
    readAnswer(logCache, exchange, sourceId, faults),
  );
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

import { type Clock, systemClock } from '../util/clock.js';
import { createHttpsGetter, type HttpHeaders, type HttpResponse } from './https-get.js';
import {
  httpTimer,
  type LogCache,
  LogCacheError,
  type OldestRequest,
  type RequestFailure,
} from './log-cache.js';
import { nameFilter } from './name-filter.js';
import { parseEnvelopes, parseQueryResponse, parseReadResponse, parseTimers } from './rest-responses.js';

export interface RestLogCacheOptions {
  /** https URL of log-cache's auth proxy. */
  readonly url: string;
  /** PEM; the complete list of trusted roots. */
  readonly ca: readonly string[];
  readonly skipSslValidation: boolean;
  readonly readTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly maxBodyBytes?: number;
  /** After how long an idle connection is closed; ms. */
  readonly idleConnectionMs?: number;
  readonly clock?: Clock;
}

/** A page of 1000 container metrics has about 1 MB. */
const defaultMaxBodyBytes = 64 * 1024 * 1024;

/** log-cache behind its auth proxy, as Cloud Foundry apps reach it. */
export function createRestLogCache(options: RestLogCacheOptions): LogCache {
  const origin = originOf(options.url);
  const basePath = origin.pathname.replace(/\/+$/, '');
  const getter = createHttpsGetter({
    maxBodyBytes: defaultMaxBodyBytes,
    clock: systemClock,
    ...options,
    origin,
  });

  const get = <T>(
    path: string,
    query: string,
    authorization: string | null,
    timeoutMs: number,
    take: (response: HttpResponse) => T,
  ): Promise<T> =>
    getter.get(`${basePath}${path}?${query}`, headersOf(authorization), timeoutMs, (response) => {
      if (response.status !== 200) throw statusError(path, response);
      return take(response);
    });

  /** Envelopes of a source in a window. */
  const read = <T>(request: OldestRequest, filter: string, take: (response: HttpResponse) => T) => {
    const { sourceId, startNs, endNs, authorization } = request;
    const query = `start_time=${startNs}&end_time=${endNs}&${filter}`;
    return get(`/api/v1/read/${encode(sourceId)}`, query, authorization, options.readTimeoutMs, take);
  };

  return {
    async read(request, take) {
      return read(request, newestFilter('GAUGE', request.limit, request.names), ({ body, bytes }) =>
        take({ envelopes: parseReadResponse(body), bytes }),
      );
    },

    async readTimers(request, take) {
      const filter = newestFilter('TIMER', request.limit, [httpTimer]);
      return read(request, filter, ({ body, bytes, dateSecs }) => {
        checkIsOver(Number(request.endNs / 1_000_000_000n), dateSecs);
        return take({ envelopes: parseTimers(body), bytes });
      });
    },

    async oldest(request, take) {
      return read(request, 'limit=1', ({ body, bytes }) => take({ envelopes: parseEnvelopes(body), bytes }));
    },

    async instantQuery({ query, timeSecs, authorization }, take) {
      const parameters = `query=${encode(query)}&time=${timeSecs}`;
      const { queryTimeoutMs } = options;
      return get('/api/v1/query', parameters, authorization, queryTimeoutMs, ({ body, bytes, dateSecs }) => {
        checkIsOver(timeSecs, dateSecs);
        return take({ samples: parseQueryResponse(body), bytes });
      });
    },
  };
}

function originOf(url: string): URL {
  const origin = new URL(url);
  if (origin.protocol === 'https:') return origin;
  throw new Error(
    `the log-cache URL must begin with https://, not ${origin.protocol}//: a token is sent there`,
  );
}

function newestFilter(type: 'GAUGE' | 'TIMER', limit: number, names: readonly string[]): string {
  return `envelope_types=${type}&descending=true&limit=${limit}&name_filter=${encode(nameFilter(names))}`;
}

/** Clocks of machines differ by less, and a window that lacks so little still says what an app does. */
const longestAheadSecs = 2;

/** What is missing at the end of a window counts as no requests: an app would be scaled in because of a wrong clock. */
function checkIsOver(endSecs: number, dateSecs: number | null): void {
  const aheadSecs = dateSecs === null ? 0 : endSecs - dateSecs;
  if (aheadSecs <= longestAheadSecs) return;
  throw new LogCacheError(
    'clock-ahead',
    `the window asked for is not over: the clock here is ${aheadSecs} s ahead of log-cache's`,
  );
}

function headersOf(authorization: string | null): HttpHeaders {
  const headers = { accept: 'application/json', 'user-agent': 'eventgenerator' };
  return authorization === null ? headers : { ...headers, authorization };
}

/** The error of log-cache's PromQL engine at its own limit. */
const queryGaveUp = /query timed out/;

/** Half a surrogate pair, which a policy's row may hold, must not throw here: Buffer replaces it. */
function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}

function statusError(path: string, { status, body }: HttpResponse): LogCacheError {
  const excerpt = body.replace(/\s+/g, ' ').trim().slice(0, 200);
  return new LogCacheError(
    kindOfStatus(status, body),
    `log-cache answered ${status} to ${path}${excerpt && `: ${excerpt}`}`,
  );
}

function kindOfStatus(status: number, body: string): RequestFailure {
  // The auth proxy says 404, never 401 or 403, when it does not like a token; gorouter may say the others.
  if (status === 401 || status === 403 || status === 404) return 'unauthorized';
  // A source took too long to read, or the query as a whole.
  if (status === 504 || (status === 500 && queryGaveUp.test(body))) return 'gave-up';
  if (status >= 500) return 'server-error';
  if (status >= 400) return 'client-error';
  return 'bad-answer';
}

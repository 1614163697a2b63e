import { type Clock, systemClock } from '../util/clock.js';
import { createHttpsGetter, type HttpHeaders, type HttpResponse } from './https-get.js';
import { httpTimer, type LogCache, LogCacheError, type RequestFailure } from './log-cache.js';
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
  const origin = new URL(options.url);
  if (origin.protocol !== 'https:') {
    throw new Error(
      `the log-cache URL must begin with https://, not ${origin.protocol}//: a token is sent there`,
    );
  }
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

  return {
    async read({ sourceId, startNs, endNs, limit, names, authorization }, take) {
      const filter = encode(nameFilter(names));
      const query = `start_time=${startNs}&end_time=${endNs}&envelope_types=GAUGE&descending=true&limit=${limit}&name_filter=${filter}`;
      const path = `/api/v1/read/${encode(sourceId)}`;
      return get(path, query, authorization, options.readTimeoutMs, ({ body, bytes }) =>
        take({ envelopes: parseReadResponse(body), bytes }),
      );
    },

    async readTimers({ sourceId, startNs, endNs, limit, authorization }, take) {
      const filter = encode(nameFilter([httpTimer]));
      const query = `start_time=${startNs}&end_time=${endNs}&envelope_types=TIMER&descending=true&limit=${limit}&name_filter=${filter}`;
      const path = `/api/v1/read/${encode(sourceId)}`;
      return get(path, query, authorization, options.readTimeoutMs, ({ body, bytes, dateSecs }) => {
        checkIsOver(Number(endNs / 1_000_000_000n), dateSecs);
        return take({ envelopes: parseTimers(body), bytes });
      });
    },

    async oldest({ sourceId, startNs, endNs, authorization }, take) {
      const query = `start_time=${startNs}&end_time=${endNs}&limit=1`;
      const path = `/api/v1/read/${encode(sourceId)}`;
      return get(path, query, authorization, options.readTimeoutMs, ({ body, bytes }) =>
        take({ timestamps: parseEnvelopes(body).map(({ timestamp }) => timestamp), bytes }),
      );
    },

    async instantQuery({ query, timeSecs, authorization }, take) {
      const parameters = `query=${encode(query)}&time=${timeSecs}`;
      const { queryTimeoutMs } = options;
      return get('/api/v1/query', parameters, authorization, queryTimeoutMs, ({ body, bytes, dateSecs }) => {
        checkIsOver(timeSecs, dateSecs);
        return take({ samples: parseQueryResponse(body), bytes });
      });
    },

    close: () => getter.close(),
  };
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

import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { msToNs, type Clock } from '../util/clock.js';
import type { HistoryQuery, HistoryReader } from '../history/history-reader.js';
import type { Logger } from '../observability/logger.js';
import { jsonType, sendError } from './error-responses.js';
import { getRoute } from './get-route.js';
import { parseHistoryRange, type HistoryParameters } from './history-query.js';
import { historyJson } from './history-json.js';
import { openHistoryStream } from './history-stream.js';

/** From the request to the last byte of the response: a client that hardly reads must not keep a cursor. */
const responseDeadlineMs = 60_000;

/** Adds routes to an instance, which has authentication and error responses of its own. */
export type RouteModule = (app: FastifyInstance) => void;

export interface ApiRoutesOptions {
  readonly history: HistoryReader;
  readonly clock: Pick<Clock, 'now' | 'setTimer'>;
  readonly logger: Pick<Logger, 'error'>;
}

interface HistoryRequest {
  Params: { appid: string; metrictype: string };
  Querystring: HistoryParameters;
}

/** The API that the autoscaler's API server calls. Any member answers for any app. */
export function apiRoutes({ history, clock, logger }: ApiRoutesOptions): RouteModule {
  async function respondHistory(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { params, query } = request as FastifyRequest<HistoryRequest>;
    const range = parseHistoryRange(query, msToNs(clock.now()));
    if ('rejection' in range) return sendError(reply, 400, range.rejection);
    // No stored name has a NUL byte, and PostgreSQL rejects a comparison with one.
    if (`${params.appid}${params.metrictype}`.includes('\0')) return reply.type(jsonType).send('[]');
    const wanted = { appId: params.appid, metricType: params.metrictype, ...range };
    const remembered = history.fromMemory(wanted);
    return remembered ? reply.type(jsonType).send(historyJson(remembered)) : streamHistory(wanted, reply);
  }

  async function streamHistory(query: HistoryQuery, reply: FastifyReply): Promise<FastifyReply> {
    const giveUp = new AbortController();
    const tooLate = () =>
      giveUp.abort(new Error(`the answer was not sent within ${responseDeadlineMs / 1000} s`));
    const clientGone = () => giveUp.abort(new Error('the client closed the connection'));
    const deadline = clock.setTimer(responseDeadlineMs, tooLate);
    reply.raw.once('close', () => deadline.cancel()).once('close', clientGone);
    let stream: Readable;
    try {
      stream = await openHistoryStream(history, query, giveUp.signal);
    } catch (error) {
      if (!reply.raw.destroyed) logger.error('history-failed', error, describe(query));
      return sendError(reply, 500, 'Error getting aggregated metric histories');
    }
    reply.raw.off('close', clientGone); // from here on fastify ends the stream with its response
    stream.once('error', (error) => logger.error('history-broken-off', error, describe(query)));
    return reply.type(jsonType).send(stream);
  }

  return (app) => {
    getRoute(app, '/v1/apps/:appid/aggregated_metric_histories/:metrictype', respondHistory);
    getRoute(app, '/v1/liveness', async () => ({}));
  };
}

function describe({ appId, metricType, startNs, endNs, order }: HistoryQuery) {
  return { appId, metricType, startNs, endNs, order };
}

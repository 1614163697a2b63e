import type { FastifyReply, FastifyRequest } from 'fastify';
import type { DecisionChange } from '../decisions/decision-store.js';
import { cursorAfter, isCursor, isPolicyReason, listedJson } from '../decisions/listed-decision.js';
import type { DecisionsReader } from '../decisions/open-decisions.js';
import { explanationJson } from '../explanation/explanation-json.js';
import { isListedReason, whyNotListed } from '../explanation/reason.js';
import type { Clock } from '../util/clock.js';
import { isoTime } from '../util/iso-time.js';
import { Semaphore } from '../util/semaphore.js';
import type { RouteModule } from './api-routes.js';
import { sendError } from './error-responses.js';
import { getRoute } from './get-route.js';

interface AppRequest {
  Params: { appid: string };
  Querystring: { since?: string | string[]; limit?: string | string[] };
}

interface ListRequest {
  Querystring: { reason?: string | string[]; limit?: string | string[]; cursor?: string | string[] };
}

/** A question costs some statements: so many at once leave the database to others. */
const maxQuestions = 4;
const waitMs = 2_000;
const busy = 'Too many decisions are being explained: ask again in a moment';
const away = 'The decisions cannot be read: appmetrics_db does not answer, or has no tables of them';
const policiesAway = 'The policies cannot be read: policy_db does not answer';
/** An app's changes are kept for as long. */
const changesSinceMs = 7 * 86_400_000;
const changeLimit = { usual: 50, most: 200 };
const listLimit = { usual: 100, most: 1_000 };

/** Why apps were scaled or not. Any member answers for any app, as far as it can know. */
export function decisionsRoutes(
  reader: DecisionsReader,
  clock: Pick<Clock, 'now' | 'setTimer'>,
): RouteModule {
  const permits = new Semaphore(clock, () => maxQuestions);

  async function ask(
    reply: FastifyReply,
    question: () => Promise<unknown>,
    failed = away,
  ): Promise<FastifyReply> {
    if (permits.waiting >= maxWaiting || !(await permits.acquire({ timeoutMs: waitMs }))) {
      return sendError(reply.header('retry-after', '2'), 503, busy);
    }
    try {
      return reply.send(await question());
    } catch {
      // Who writes decisions or reads policies logs what is wrong with the database.
      return sendError(reply, 503, failed);
    } finally {
      permits.release();
    }
  }

  async function respondDecision(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { appid } = (request as FastifyRequest<AppRequest>).params;
    if (appid.includes('\0')) return sendError(reply, 400, badAppId);
    return ask(reply, async () => explanationJson(await reader.explain(appid)));
  }

  async function respondChanges(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { params, query } = request as FastifyRequest<AppRequest>;
    if (params.appid.includes('\0')) return sendError(reply, 400, badAppId);
    const nowMs = clock.now();
    const sinceMs = query.since === undefined ? nowMs - changesSinceMs : parseTime(query.since);
    if (sinceMs === null) return sendError(reply, 400, 'since must be a time such as 2026-11-27T03:00:00Z');
    const limit = parseLimit(query.limit, changeLimit);
    if (limit === null) return sendError(reply, 400, `limit must be 1 to ${changeLimit.most}`);
    return ask(reply, async () => {
      const found = await reader.changes({ appId: params.appid, sinceMs, untilMs: nowMs, limit });
      return { app_id: params.appid, changes: found.map(changeJson) };
    });
  }

  async function respondList(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { reason, limit: wanted, cursor = '' } = (request as FastifyRequest<ListRequest>).query;
    if (!isListedReason(reason)) return sendError(reply, 400, `wrong reason: ${whyNotListed(reason)}`);
    const limit = parseLimit(wanted, listLimit);
    if (limit === null) return sendError(reply, 400, `limit must be 1 to ${listLimit.most}`);
    if (!isCursor(cursor)) {
      return sendError(reply, 400, 'cursor must be one of an earlier response');
    }
    const question = async () => {
      const found = await reader.list({ code: reason, after: cursor, limit });
      return { reason, apps: found.map(listedJson), cursor: cursorAfter(found, limit) };
    };
    return ask(reply, question, isPolicyReason(reason) ? policiesAway : away);
  }

  return (app) => {
    getRoute(app, '/v1/apps/:appid/decision', respondDecision);
    getRoute(app, '/v1/apps/:appid/decisions', respondChanges);
    getRoute(app, '/v1/decisions', respondList);
  };
}

const maxWaiting = 100;
const badAppId = "The app's id has a NUL character";

function changeJson({ atMs, from, to, rule, value, text }: DecisionChange): Record<string, unknown> {
  return { at: isoTime(atMs), from, to, rule, value, text };
}

/** Wall-clock ms of an RFC 3339 time; null for anything else. */
function parseTime(text: string | string[]): number | null {
  if (typeof text !== 'string') return null;
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

function parseLimit(
  text: string | string[] | undefined,
  { usual, most }: { readonly usual: number; readonly most: number },
): number | null {
  if (text === undefined) return usual;
  if (typeof text !== 'string' || !/^\d{1,6}$/.test(text)) return null;
  const limit = Number(text);
  return limit >= 1 && limit <= most ? limit : null;
}

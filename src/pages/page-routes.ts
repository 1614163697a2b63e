import type { FastifyReply, FastifyRequest } from 'fastify';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import { isCursor } from '../decisions/listed-decision.js';
import { isListedReason, whyNotListed } from '../explanation/reason.js';
import type { RouteModule } from '../http/api-routes.js';
import { getRoute } from '../http/get-route.js';
import { appPage } from './app-page.js';
import { appsPage } from './apps-page.js';
import { markup } from './html.js';
import { page, pageHeaders } from './page.js';
import type { PageSource } from './page-source.js';

/** GUIDs have 36 characters; longer ids than this are in no policy. */
const maxAppIdLength = 100;

/** `/health/apps` and `/health/apps/{guid}`, one at a time: a page costs as much as many requests. */
export function pageRoutes(source: PageSource, context: LogContext): RouteModule {
  const repeated = new RepeatedEvents({ ...context, logger: context.logger.child('http') });
  let busy = false;

  const alone =
    (make: (request: FastifyRequest, reply: FastifyReply) => Promise<string | FastifyReply>) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      if (busy)
        return problem(reply.header('retry-after', '1'), 503, 'Another page is being made: try again.');
      busy = true;
      try {
        const made = await make(request, reply);
        return typeof made === 'string' ? await reply.headers(pageHeaders).send(made) : made;
      } catch (error) {
        repeated.error('page-failed', error, {});
        return problem(reply, 503, 'A database does not answer. The log says which.');
      } finally {
        busy = false;
      }
    };

  async function respondApps(request: FastifyRequest, reply: FastifyReply): Promise<string | FastifyReply> {
    const { app: appId, reason, cursor = '' } = request.query as Record<string, unknown>;
    if (typeof appId === 'string' && appId.trim() !== '') {
      return reply.redirect(`/health/apps/${encodeURIComponent(appId.trim())}`, 303);
    }
    if (reason !== undefined && !isListedReason(reason)) {
      return problem(reply, 400, `Wrong reason: ${whyNotListed(reason)}.`);
    }
    if (!isCursor(cursor)) return problem(reply, 400, 'That is no cursor of an earlier page.');
    return appsPage(await source.apps(reason ?? null, cursor));
  }

  async function respondApp(request: FastifyRequest, reply: FastifyReply): Promise<string | FastifyReply> {
    const { appId } = request.params as { appId: string };
    if (appId.length > maxAppIdLength || appId.includes('\0')) {
      return problem(reply, 400, 'That is no app id.');
    }
    return appPage(await source.app(appId));
  }

  return (app) => {
    getRoute(app, '/health/apps', alone(respondApps));
    getRoute(app, '/health/apps/:appId', alone(respondApp));
  };
}

function problem(reply: FastifyReply, status: number, text: string): FastifyReply {
  const body = markup`<p><a href="/health/apps">All apps</a></p>
    <h1>${text}</h1>`;
  return reply.code(status).headers(pageHeaders).send(page(text, body));
}

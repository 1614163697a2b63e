import type { FastifyInstance, FastifyRequest, RouteHandlerMethod } from 'fastify';
import { sendError } from './error-responses.js';

export interface GetRouteOptions {
  /** Load balancers and monitors use HEAD; the API allows only GET, as in Go. */
  readonly allowHead?: boolean;
}

/**
 * Registers a GET route, and rejects every other method of its path with 405 before a body is read. The instance's hook
 * for authentication runs first. Where a part of the path that the URL names is empty there is nothing.
 */
export function getRoute(
  app: FastifyInstance,
  url: string,
  handler: RouteHandlerMethod,
  { allowHead = false }: GetRouteOptions = {},
): void {
  const allowed = allowHead ? ['GET', 'HEAD'] : ['GET'];
  app.route({
    method: 'GET',
    url,
    exposeHeadRoute: allowHead,
    handler(request, reply) {
      return hasEmptyName(request) ? sendError(reply, 404) : handler.call(this, request, reply);
    },
  });
  app.route({
    method: app.supportedMethods.filter((method) => !allowed.includes(method)),
    url,
    onRequest: (request, reply) => {
      void sendError(
        reply.header('allow', allowed.join(', ')),
        405,
        `${request.method} is not allowed here: use ${allowed.join(' or ')}`,
      );
    },
    handler: () => {},
  });
}

/** The router takes an empty part for a name. What `*` stands for may be empty. */
function hasEmptyName({ params }: FastifyRequest): boolean {
  return Object.entries(params as Record<string, string>).some(
    ([name, value]) => name !== '*' && value === '',
  );
}

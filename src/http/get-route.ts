import type { FastifyInstance, RouteHandlerMethod } from 'fastify';
import { sendError } from './error-responses.js';

export interface GetRouteOptions {
  /** Load balancers and monitors use HEAD; the API allows only GET, as in Go. */
  readonly allowHead?: boolean;
}

/**
 * Registers a GET route, and rejects every other method of its path with 405 before a body is read. The instance's hook
 * for authentication runs first.
 */
export function getRoute(
  app: FastifyInstance,
  url: string,
  handler: RouteHandlerMethod,
  { allowHead = false }: GetRouteOptions = {},
): void {
  const allowed = allowHead ? ['GET', 'HEAD'] : ['GET'];
  app.route({ method: 'GET', url, exposeHeadRoute: allowHead, handler });
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

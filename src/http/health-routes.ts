import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../util/clock.js';
import type { Metrics } from '../observability/metrics.js';
import type { RouteModule } from './api-routes.js';
import { requireBasicAuth, type BasicAuth } from './basic-auth.js';
import { takeCpuProfile } from './cpu-profile.js';
import { jsonType, sendError } from './error-responses.js';
import { getRoute } from './get-route.js';
import type { Readiness } from './readiness.js';
import { shared } from '../util/shared.js';

/** `starting` and `draining` take the instance out of the route. Failures that a restart does not repair do not. */
export type Lifecycle = 'starting' | 'running' | 'draining';

const maxProfileSecs = 30;

/** As Go's `/debug/pprof/profile`. */
const defaultProfileSecs = 30;

export interface HealthRoutesOptions {
  readonly metrics: Pick<Metrics, 'registry'>;
  readonly basicAuth: BasicAuth;
  /** null: the readiness endpoint is not enabled. */
  readonly readiness: Readiness | null;
  readonly lifecycle: () => Lifecycle;
  /** Readiness says so. */
  readonly isObserver: boolean;
  readonly clock: Clock;
  /** Routes below `/health/apps`; null: there are none. */
  readonly pages: RouteModule | null;
  /** Where Prometheus metrics are served, as path patterns. */
  readonly metricsPaths: readonly string[];
}

/**
 * Liveness and readiness for everyone; metrics behind basic authentication where it is configured; profiles and pages
 * only where it is.
 */
export function healthRoutes(options: HealthRoutesOptions): (app: FastifyInstance) => void {
  const { metrics, basicAuth, readiness, lifecycle, isObserver, clock, pages, metricsPaths } = options;
  let isProfiling = false;
  const metricsText = shared(clock, () => metrics.registry.metrics());

  async function respondReadiness(checks: Readiness, reply: FastifyReply): Promise<FastifyReply> {
    const report = { ...(await checks.report()), ...(isObserver && { observer: true }) };
    if (lifecycle() === 'running') return reply.send(report);
    return reply.code(503).send({ ...report, overall_status: 'DOWN' });
  }

  async function respondProfile(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (!basicAuth.configured)
      return sendError(reply, 404, 'Profiles need basic authentication to be configured');
    const { seconds } = request.query as { seconds?: unknown };
    const durationSecs = seconds === undefined ? defaultProfileSecs : Number(seconds);
    if (!(durationSecs > 0 && durationSecs <= maxProfileSecs)) {
      return sendError(reply, 400, `seconds must be a number above 0 and at most ${maxProfileSecs}`);
    }
    if (isProfiling) return sendError(reply, 409, 'A profile is being taken already');
    const clientGone = new AbortController();
    reply.raw.once('close', () => clientGone.abort());
    isProfiling = true;
    const profile = await takeCpuProfile(clock, durationSecs * 1000, clientGone.signal).finally(
      () => (isProfiling = false),
    );
    return reply
      .type(jsonType)
      .header('content-disposition', 'attachment; filename="eventgenerator.cpuprofile"')
      .send(JSON.stringify(profile));
  }

  async function respondMetrics(_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    return reply.type(metrics.registry.contentType).send(await metricsText());
  }

  function addPages(guarded: FastifyInstance, routes: RouteModule): void {
    if (basicAuth.configured) return routes(guarded);
    for (const path of ['/health/apps', '/health/apps/*']) {
      getRoute(guarded, path, (_request, reply) =>
        sendError(reply, 404, 'Pages need basic authentication to be configured'),
      );
    }
  }

  return (app) => {
    getRoute(app, '/health/liveness', async () => ({}), { allowHead: true });
    if (readiness) {
      getRoute(app, '/health/readiness', (_request, reply) => respondReadiness(readiness, reply), {
        allowHead: true,
      });
    }
    void app.register(async (guarded) => {
      requireBasicAuth(guarded, basicAuth);
      getRoute(guarded, '/debug/pprof/profile', respondProfile);
      if (pages) addPages(guarded, pages);
      for (const path of metricsPaths) getRoute(guarded, path, respondMetrics, { allowHead: true });
    });
  };
}

import fastify, { type FastifyInstance } from 'fastify';
import { BadRequest, parseFaultRule, serverNameIn } from './fault-rule-json.js';
import { routeParts } from './log-cache-route.js';
import type { Platform } from './platform.js';

export interface ControlServer {
  readonly url: string;
  close(): Promise<void>;
}

/** What `--help` says about it. */
export const controlHelp = `  GET    /books                 what was served, and every trigger by app
  GET    /apps                  every app: guid, name, instances, limits
  GET    /truth/APP/METRIC      the true samples of a gauge; ?start= and ?end= in ns (end exclusive)
  GET    /requests/APP          the true http requests by instance; ?start= and ?end= in ns
  GET    /faults                faults in force
  POST   /faults                {"server":"logCache","operation":"read","app":"GUID","times":3,
                                 "fault":{"kind":"status","status":500}}; all but server and fault optional;
                                 servers uaa, logCache, scalingEngine, and cloudController behind log-cache's queries;
                                 operations token, info, meta, read, gauges, query, scale, apps;
                                 kinds delay (with ms), status (with status, body), hang, stall, reset, cut,
                                 garbage, compressed, empty, unauthorized, nan
  DELETE /faults, /faults/ID    lifts all faults, or one
  POST   /tokens/revoke         every token issued so far is refused
  POST   /servers/NAME/down     refuses connections until /servers/NAME/up
  POST   /log-cache/NAME/down   takes down proxy, gateway or logCache of log-cache until /log-cache/NAME/up
  POST   /log-cache/nodes/N/down  a node is dead, and empty from /log-cache/nodes/N/up on`;

/** Switches and books of a running platform over plain HTTP, on loopback only. */
export async function startControlServer(platform: Platform, port: number): Promise<ControlServer> {
  const server = fastify({ forceCloseConnections: true });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  server.setErrorHandler((error, _request, reply) => {
    const message = error instanceof Error ? error.message : String(error);
    return reply.code(error instanceof BadRequest ? 400 : 500).send({ error: message });
  });

  addAnswers(server, platform);
  addFaults(server, platform);
  addSwitches(server, platform);
  addLogCacheSwitches(server, platform);
  const url = await server.listen({ host: '127.0.0.1', port });
  return { url, close: () => server.close() };
}

function addAnswers(server: FastifyInstance, platform: Platform): void {
  server.get('/books', () => platform.books.toJSON());
  server.get('/apps', () =>
    [...platform.apps].map(({ guid, name, instances, minInstances, maxInstances, state }) => ({
      guid,
      name,
      instances,
      minInstances,
      maxInstances,
      state,
    })),
  );
  server.get<{ Params: { app: string; metric: string }; Querystring: Record<string, unknown> }>(
    '/truth/:app/:metric',
    ({ params, query }) => platform.truth.samples(params.app, params.metric, ...windowIn(query)),
  );
  server.get<{ Params: { app: string }; Querystring: Record<string, unknown> }>(
    '/requests/:app',
    ({ params, query }) => platform.truth.requests(params.app, ...windowIn(query)),
  );
}

function addFaults(server: FastifyInstance, platform: Platform): void {
  server.get('/faults', () =>
    platform.faults.list().map(({ id, server: name, operation, app, times, fault, hits }) => ({
      id,
      server: name,
      operation,
      app,
      times,
      fault,
      hits,
    })),
  );
  server.post('/faults', ({ body }) => {
    const { id } = platform.faults.set(parseFaultRule(String(body)));
    return { id };
  });
  server.delete('/faults', () => {
    platform.faults.clear();
    return {};
  });
  server.delete<{ Params: { id: string } }>('/faults/:id', ({ params }, reply) =>
    platform.faults.lift(Number(params.id)) ? {} : reply.code(404).send({ error: 'there is no such fault' }),
  );
}

function addSwitches(server: FastifyInstance, platform: Platform): void {
  server.post('/tokens/revoke', () => {
    platform.tokens.revokeAll();
    return {};
  });
  server.post<{ Params: { name: string } }>('/servers/:name/down', async ({ params }) => {
    await platform.takeDown(serverNameIn(params.name));
    return {};
  });
  server.post<{ Params: { name: string } }>('/servers/:name/up', async ({ params }) => {
    await platform.bringUp(serverNameIn(params.name));
    return {};
  });
}

function addLogCacheSwitches(server: FastifyInstance, platform: Platform): void {
  server.post<{ Params: { name: string; to: string } }>(
    '/log-cache/:name/:to(^(?:down|up)$)',
    ({ params }) => {
      const part = routeParts.find((name) => name === params.name);
      if (!part) throw new BadRequest(`log-cache has the parts ${routeParts.join(', ')}`);
      if (params.to === 'down') platform.logCacheRoute.takeDown(part);
      else platform.logCacheRoute.bringUp(part);
      return {};
    },
  );
  server.post<{ Params: { number: string; to: string } }>(
    '/log-cache/nodes/:number(^\\d+$)/:to(^(?:down|up)$)',
    ({ params }) => {
      if (params.to === 'down') platform.logCacheNodes.takeDown(Number(params.number));
      else platform.logCacheNodes.bringUp(Number(params.number));
      return {};
    },
  );
}

/** A window in ns as µs; default: all that is known. */
function windowIn(query: Readonly<Record<string, unknown>>): [fromUs: number, toUs: number] {
  return [microseconds(query['start'] ?? '0'), microseconds(query['end'] ?? String(2n ** 62n))];
}

function microseconds(value: unknown): number {
  if (typeof value !== 'string' || !/^\d+$/.test(value)) {
    throw new BadRequest('start and end must be nanoseconds since the epoch');
  }
  return Number((BigInt(value) + 999n) / 1000n);
}

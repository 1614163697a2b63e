import { METHODS, type IncomingMessage, type Server } from 'node:http';
import type { ServerOptions as HttpsOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { parse as parseQuery } from 'node:querystring';
import type { SecureContextOptions } from 'node:tls';
import { fastify, type FastifyInstance, type FastifyServerOptions } from 'fastify';
import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import { errorCode, errorText } from '../util/errors.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { boundConnections } from './connections.js';
import {
  rejectUnparsable,
  installErrorResponses,
  rejectConnect,
  rejectUnroutable,
  sendError,
} from './error-responses.js';
import { endFailedHandshakes } from './handshakes.js';
import type { ServerLimits } from './limits.js';
import { respondOneAtATime } from './one-at-a-time.js';
import { secureContext, trustIssuersWithoutRoots, type ServerTls } from './server-tls.js';

/** The longest names in the autoscaler's tables. Characters, after decoding. */
const maxParamLength = 255;

export interface ListenerOptions {
  /** For messages: `API server`. */
  readonly name: string;
  readonly port: number;
  /** The configuration key of the port, for the message when it is taken. */
  readonly portKey: string;
  /** null: plain HTTP. */
  readonly tls: ServerTls | null;
  readonly logger: Logger;
  readonly metrics: ListenerMetrics;
  readonly clock: Clock;
  readonly limits: ServerLimits;
}

export type ListenerMetrics = Pick<
  Metrics,
  'concurrentHttpRequests' | 'connectionsTurnedAway' | 'tlsHandshakesRefused' | 'logLinesSuppressed'
>;

export interface Listener {
  /** For routes; must be complete before `listen`. */
  readonly app: FastifyInstance;
  /** Address is null unless it listens. */
  address(): AddressInfo | null;
  /** On every interface unless a host is given. */
  listen(host?: string): Promise<void>;
  /** Accepts nothing new, lets responses end within the deadline, then ends every connection. Idempotent. */
  close(): Promise<void>;
}

export function createListener(options: ListenerOptions): Listener {
  const { name, tls, limits, logger, clock, metrics } = options;
  const repeated = new RepeatedEvents({ clock, logger, metrics });
  const app = createApp(tls, limits);
  const { server } = app;
  let closing: Promise<void> | undefined;
  let stopWatching = () => {};

  setUpResponses(app, repeated, metrics);
  app.addHook('onResponse', (_request, _reply, done) => {
    if (closing) setImmediate(() => server.closeIdleConnections());
    done();
  });

  const endConnections = boundConnections(server, limits.maxConnections, () => {
    metrics.connectionsTurnedAway.inc();
    repeated.error(
      'connections-turned-away',
      new Error(`the ${name} has ${limits.maxConnections} connections and ended one for another`),
    );
  });
  if (tls) {
    trustIssuersWithoutRoots(server, tls);
    endFailedHandshakes(server, { logger, repeated, metrics });
    stopWatching = renewOnChange(server as Server & ContextHolder, tls, logger);
  }

  const closeNow = async () => {
    stopWatching();
    const ended = app.close();
    const deadline = clock.setTimer(limits.closeDeadlineMs, endConnections);
    await ended;
    deadline.cancel();
  };

  return {
    app,
    address() {
      const address = server.address();
      return typeof address === 'object' ? (address ?? null) : null;
    },
    async listen(host) {
      await listenOn(app, options, host);
      server.on('error', (error) => repeated.error('server-error', error));
    },
    close: () => (closing ??= closeNow()),
  };
}

/** Without it Fastify loads its compilers of schemas, 2 MB and 0.05 s of a processor, although no route has a schema. */
function withoutSchemas(): never {
  throw new Error('routes have no schemas');
}

function createApp(tls: ServerTls | null, limits: ServerLimits): FastifyInstance {
  const options = {
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    bodyLimit: limits.maxBodyBytes,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    clientErrorHandler: rejectUnparsable,
    frameworkErrors: (error, _request, reply) => rejectUnroutable(error, reply),
    routerOptions: { maxParamLength, querystringParser: parseQueryString },
    schemaController: {
      compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas },
    },
  } satisfies FastifyServerOptions;
  const http = {
    headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
    maxHeaderSize: limits.maxHeaderBytes,
    requireHostHeader: false, // else Node.js itself responds, without a body
    // Finds peers that are gone.
    keepAlive: true,
    keepAliveInitialDelay: limits.tcpKeepAliveMs,
  };
  if (!tls) return fastify({ ...options, http });
  const https: HttpsOptions = {
    ...http,
    ...secureContext(tls),
    handshakeTimeout: limits.handshakeTimeoutMs,
    requestCert: tls.clientCa !== null,
    rejectUnauthorized: true,
  };
  return fastify({ ...options, https });
}

/** What all responses have in common, whatever the routes. */
function setUpResponses(app: FastifyInstance, repeated: RepeatedEvents, metrics: ListenerMetrics): void {
  installErrorResponses(app, repeated);
  acceptEveryMethod(app);
  ignoreBodies(app);
  respondOneAtATime(app, metrics);
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('cache-control', 'no-store');
    if (request.raw.httpVersion !== '1.1' || request.headers.host !== undefined) return done();
    void sendError(reply, 400, 'A Host header is required');
  });
}

interface ContextHolder {
  setSecureContext(context: SecureContextOptions): void;
}

/** New connections use the new certificates; if those cannot be used, the old ones stay in force. */
function renewOnChange(server: Server & ContextHolder, tls: ServerTls, logger: Logger): () => void {
  const renew = () => {
    try {
      server.setSecureContext(secureContext(tls));
      trustIssuersWithoutRoots(server, tls);
      logger.info('certificate-renewed');
    } catch (error) {
      logger.error('certificate-unusable', error, { consequence: 'the previous certificate stays in use' });
    }
  };
  const stops = [tls.keyPair, tls.clientCa].map((followed) => followed?.onChange(renew));
  return () => stops.forEach((stop) => stop?.());
}

/**
 * Allows routes for every method that can be parsed, so that all errors look alike. Node.js itself would close the
 * connection on CONNECT, and reject an unknown Expect header without a body.
 */
function acceptEveryMethod(app: FastifyInstance): void {
  const known = new Set(app.supportedMethods);
  known.delete('QUERY'); // which fastify rejects without a body
  for (const method of METHODS) {
    if (!known.has(method)) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  app.server.on('connect', (_request: IncomingMessage, socket: Socket) => rejectConnect(socket));
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
}

/** A plus sign stands for itself: times may have a sign, and no parameter has a space. */
function parseQueryString(text: string): Record<string, unknown> {
  return parseQuery(text.replaceAll('+', '%2B'));
}

/** Bodies are read up to the limit, so that connections can be used again, and ignored. */
function ignoreBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null));
}

/** Without a host on every interface, where there is IPv6 or not. */
async function listenOn(app: FastifyInstance, options: ListenerOptions, host: string | undefined) {
  const { name, port, portKey } = options;
  try {
    await app.listen({ host: host ?? '::', port }).catch((error: unknown) => {
      const isWithoutIpv6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(errorCode(error));
      if (host !== undefined || !isWithoutIpv6) throw error;
      return app.listen({ host: '0.0.0.0', port });
    });
  } catch (cause) {
    throw new Error(
      `The ${name} cannot listen on port ${port} (${errorCode(cause) || errorText(cause)}): ` +
        `free the port, or configure another one as ${portKey}`,
      { cause },
    );
  }
}

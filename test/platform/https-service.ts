import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../src/util/clock.js';
import type { Logger } from '../../src/observability/logger.js';
import type { IssuedCertificate } from '../support/certificates.js';
import { Exchange } from './exchange.js';
import { listenOnLoopback } from '../support/listen.js';

export interface HttpsServiceOptions {
  readonly name: string;
  readonly certificate: IssuedCertificate;
  /** PEM; with it, clients must show a certificate of this authority. */
  readonly clientCa?: string;
  /** 0 lets the system choose one at the first start. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly handle: (exchange: Exchange) => Promise<void>;
}

/** Longer than any client keeps a connection idle, so that this side never closes one that is about to be used. */
const keepAliveTimeoutMs = 120_000;

/** An HTTPS server on loopback that can be taken down and brought up again on the same port. */
export class HttpsService {
  #server: Server | undefined;
  #port: number;

  constructor(private readonly options: HttpsServiceOptions) {
    this.#port = options.port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    if (this.#server) return;
    const { certificate, clientCa } = this.options;
    const server = createServer({
      key: certificate.key,
      cert: certificate.chain,
      keepAliveTimeout: keepAliveTimeoutMs,
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    });
    server.on('request', (request, response) => void this.#answer(request, response));
    this.#port = await listenOnLoopback(server, this.#port);
    this.#server = server;
  }

  /** Breaks every connection. Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.options.handle(new Exchange(request, response, this.options.clock));
    } catch (error) {
      this.options.log.error(`${this.options.name}.request-failed`, error);
      response.destroy();
    }
  }
}

import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock } from '../../src/util/clock.js';
import type { Logger } from '../../src/observability/logger.js';
import type { IssuedCertificate } from '../support/certificates.js';
import { GrpcExchange } from './grpc-exchange.js';
import { listenOnLoopback } from '../support/listen.js';

export interface GrpcServiceOptions {
  readonly name: string;
  readonly certificate: IssuedCertificate;
  /** PEM; clients must show a certificate of this authority. */
  readonly clientCa: string;
  /** 0 lets the system choose one at the first start. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly handle: (exchange: GrpcExchange) => Promise<void>;
}

/** A gRPC server with mutual TLS on loopback that can be taken down and brought up again on the same port. */
export class GrpcService {
  #server: Http2SecureServer | undefined;
  readonly #sockets = new Set<Socket>();
  #port: number;

  constructor(private readonly options: GrpcServiceOptions) {
    this.#port = options.port;
  }

  /** host:port */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    if (this.#server) return;
    const { certificate, clientCa, clock } = this.options;
    const server = createSecureServer({
      key: certificate.key,
      cert: certificate.chain,
      ca: clientCa,
      requestCert: true,
      rejectUnauthorized: true,
    });
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // Clients that break off are part of the game.
    server.on('sessionError', () => {});
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      void this.#answer(new GrpcExchange(stream, headers[':path'] ?? '', clock));
    });
    this.#port = await listenOnLoopback(server, this.#port);
    this.#server = server;
  }

  /** Breaks every connection. Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #answer(exchange: GrpcExchange): Promise<void> {
    try {
      await this.options.handle(exchange);
    } catch (error) {
      this.options.log.error(`${this.options.name}.request-failed`, error);
      exchange.breakOff();
    }
  }
}

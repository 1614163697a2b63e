import { type ClientHttp2Session, connect } from 'node:http2';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { lookup } from '../dns/lookup.js';
import { backOff } from '../util/back-off.js';
import type { Clock } from '../util/clock.js';
import { trusting } from '../util/trusting.js';
import { connectionReason, LogCacheError } from './log-cache.js';

export interface GrpcConnectionOptions {
  /** host:port */
  readonly address: string;
  /** PEM; the complete list of trusted roots. */
  readonly ca: readonly string[];
  readonly key: string;
  readonly cert: string;
  /** Sent as SNI. */
  readonly serverName: string;
  readonly checkIdentity: (certificate: PeerCertificate) => Error | undefined;
  readonly clock: Clock;
}

/** A connection of HTTP/2, which all calls share. */
export interface GrpcConnection {
  readonly session: ClientHttp2Session;
  /** Whether a response has arrived on it. */
  hasAnswered: boolean;
  /** Deadlines since the last response. */
  timeoutsInARow: number;
}

/** After this many deadlines in a row without a response, the connection counts as dead, whatever TCP says. */
const timeoutsBeforeReconnect = 3;

/** Between attempts to connect; ms. */
const firstPauseMs = 250;
const longestPauseMs = 10_000;

/** Flow-control windows of a response and of the connection; bytes. With HTTP/2's 64 KiB a page would wait several times. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;

/** MB. Above it Node.js rejects calls, at 10 MB already where nothing else is said. */
const maxSessionMemory = 128;

/** Keeps one connection to a server. Opens a new one when the last is gone, with pauses after attempts that failed. */
export class GrpcConnections {
  // One context for all connections: parsing hundreds of roots costs milliseconds.
  readonly #secureContext;
  #current: GrpcConnection | null = null;
  /** Attempts in a row that led to no connection. */
  #failures = 0;
  #pausedUntilMs = -Infinity;
  #lastError = 'it was closed';

  constructor(private readonly options: GrpcConnectionOptions) {
    const { ca, key, cert } = options;
    this.#secureContext = createSecureContext({ ...trusting(ca), key, cert });
  }

  /** The connection for the next call. Throws a LogCacheError where there is none at the moment. */
  next(): GrpcConnection {
    const { clock } = this.options;
    const session = this.#current?.session;
    if (this.#current && !session?.closed && !session?.destroyed) return this.#current;
    if (clock.monotonic() < this.#pausedUntilMs) {
      throw new LogCacheError('connection', `there is no connection to log-cache: ${this.#lastError}`);
    }
    return (this.#current = this.#open());
  }

  #open(): GrpcConnection {
    const { address, serverName, checkIdentity } = this.options;
    const session = connect(`https://${address}`, {
      secureContext: this.#secureContext,
      lookup,
      servername: serverName,
      checkServerIdentity: (_host, certificate) => checkIdentity(certificate),
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
      maxSessionMemory,
    });
    session.once('connect', () => session.setLocalWindowSize(connectionWindowBytes));
    session.on('error', (error: Error) => (this.#lastError = connectionReason(error)));
    // Not before these a server has accepted our certificate.
    let isAccepted = false;
    session.once('remoteSettings', () => {
      isAccepted = true;
      this.#failures = 0;
    });
    session.once('close', () => {
      if (!isAccepted) this.#failed();
    });
    return { session, hasAnswered: false, timeoutsInARow: 0 };
  }

  #failed(): void {
    this.#failures++;
    const pauseMs = backOff(firstPauseMs, longestPauseMs, this.#failures, Math.random);
    this.#pausedUntilMs = this.options.clock.monotonic() + pauseMs;
  }

  noteAnswer(connection: GrpcConnection): void {
    connection.hasAnswered = true;
    connection.timeoutsInARow = 0;
  }

  noteTimeout(connection: GrpcConnection): void {
    if (++connection.timeoutsInARow < timeoutsBeforeReconnect) return;
    const { session } = connection;
    // A connection that closes still delivers responses that are on their way. One that was never made has none.
    if (session.connecting) session.destroy();
    else session.close();
  }
}

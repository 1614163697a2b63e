import type { Server } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import type { RepeatedEvents } from '../observability/repeated-events.js';
import { errorCode } from '../util/errors.js';

export interface HandshakeReports {
  readonly logger: Logger;
  readonly repeated: RepeatedEvents;
  readonly metrics: Pick<Metrics, 'tlsHandshakesRefused'>;
}

/** Ends connections whose handshake fails or takes too long, logs why and counts it. */
export function endFailedHandshakes(server: Server, { logger, repeated, metrics }: HandshakeReports): void {
  // Before the listener of Node.js, which writes an HTTP error: without a TLS session that would wait for ever.
  server.prependListener('tlsClientError', (error: Error, socket: TLSSocket) => {
    const { remoteAddress } = socket;
    socket.destroy();
    // Unlike its type: a code if the client's certificate was rejected, else null.
    const rejection = socket.authorizationError as unknown as string | null;
    const code = rejection ?? errorCode(error);
    const reason = rejection === null ? (reasons[code] ?? 'protocol') : 'client-certificate';
    metrics.tlsHandshakesRefused.inc({ reason });
    // Load balancers connect and close to check that a port is open.
    if (reason === 'closed') return logger.debug('handshake-broken-off', { remoteAddress });
    const data = { reason, code, ...(remoteAddress !== undefined && { remoteAddress }) };
    repeated.error('handshake-refused', new Error(texts[reason]), data, `handshake-refused ${code}`);
  });
}

type Reason = 'client-certificate' | 'timeout' | 'plain-http' | 'protocol' | 'closed';

const reasons: Readonly<Record<string, Reason>> = {
  ECONNRESET: 'closed',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'timeout',
  ERR_SSL_HTTP_REQUEST: 'plain-http',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'client-certificate',
};

const texts: Readonly<Record<Exclude<Reason, 'closed'>, string>> = {
  'client-certificate':
    "a client gave no certificate, or one that is not valid or not issued by a CA certificate in this server's ca_file",
  timeout: 'a client did not finish its TLS handshake in time',
  'plain-http': 'a client spoke plain HTTP to a port that speaks TLS',
  protocol: 'a client and this server found no TLS version and ciphers in common, or it spoke no TLS',
};

/** What a client may use. */
export interface ServerLimits {
  /** From the start of the connection, or the end of the previous request, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body. */
  readonly requestTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** Without a byte in either direction. Longer than a CPU profile takes. */
  readonly idleTimeoutMs: number;
  /** Longer than the 90 s after which gorouter closes idle connections: else its next request could fail. */
  readonly keepAliveTimeoutMs: number;
  /** Without a byte from the peer; then TCP probes it every second, ten times. */
  readonly tcpKeepAliveMs: number;
  /** How often timeouts are checked. */
  readonly checkIntervalMs: number;
  /** Of request line and headers. Several times the size of a client certificate in a header. */
  readonly maxHeaderBytes: number;
  /** No route uses a body. */
  readonly maxBodyBytes: number;
  readonly maxConnections: number;
  /** From `close` until connections with an unfinished response are ended. */
  readonly closeDeadlineMs: number;
}

export const defaultLimits: ServerLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  handshakeTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 95_000,
  tcpKeepAliveMs: 30_000,
  checkIntervalMs: 1_000,
  maxHeaderBytes: 32 * 1024,
  maxBodyBytes: 16 * 1024,
  maxConnections: 1_000,
  closeDeadlineMs: 1_000,
};

/** What a client may use. */
export const defaultLimits = {
  /** From the start of the connection, or the end of the previous request, to the end of the headers. */
  headersTimeoutMs: 10_000,
  /** To the end of the body. */
  requestTimeoutMs: 30_000,
  handshakeTimeoutMs: 10_000,
  /** Without a byte in either direction. Longer than a CPU profile takes. */
  idleTimeoutMs: 60_000,
  /** Longer than the 90 s after which gorouter closes idle connections: else its next request could fail. */
  keepAliveTimeoutMs: 95_000,
  /** Without a byte from the peer; then TCP probes it every second, ten times. */
  tcpKeepAliveMs: 30_000,
  /** How often headersTimeoutMs and requestTimeoutMs are checked. Each server has a timer for it, which wakes an idle process. */
  checkIntervalMs: 5_000,
  /** Of request line and headers. Several times the size of a client certificate in a header. */
  maxHeaderBytes: 32 * 1024,
  /** No route uses a body. */
  maxBodyBytes: 16 * 1024,
  maxConnections: 1_000,
  /** From `close` until connections with an unfinished response are ended. */
  closeDeadlineMs: 1_000,
};

export type ServerLimits = Readonly<typeof defaultLimits>;

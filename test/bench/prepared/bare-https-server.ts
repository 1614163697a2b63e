import { createServer, type TLSSocket } from 'node:tls';

export interface BareRequest {
  /** With the query string, as it was sent. */
  readonly path: string;
  readonly isAuthorized: boolean;
}

export interface BareHttpsServerOptions {
  readonly key: string;
  readonly cert: string;
  /** From the request to its answer. */
  readonly delayMs: number;
  /** The whole answer with its head; called when the delay is over. */
  readonly answer: (request: BareRequest) => Buffer;
  /** Called with an answer that is on its way and not needed any more. */
  readonly sent?: (answer: Buffer) => void;
}

export interface BareHttpsServer {
  readonly port: number;
  close(): void;
}

/** Longer requests are not what a collector sends. */
const maxRequestBytes = 1_048_576;
export const headEnd = '\r\n\r\n';

/**
 * Answers GET requests over TLS on kept-alive connections, with no more of HTTP than that takes: an answer should
 * cost what TLS costs. Everything else about the platform's HTTP is tested with the miniature platform.
 */
export async function startBareHttpsServer(options: BareHttpsServerOptions): Promise<BareHttpsServer> {
  const sockets = new Set<TLSSocket>();
  const server = createServer({ key: options.key, cert: options.cert, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serve(socket, options);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', 1024, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    port: address.port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function serve(socket: TLSSocket, { delayMs, answer, sent }: BareHttpsServerOptions): void {
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    for (let end = received.indexOf(headEnd); end >= 0; end = received.indexOf(headEnd)) {
      const request = parseHead(received.slice(0, end));
      received = received.slice(end + headEnd.length);
      if (!request) {
        socket.destroy();
        return;
      }
      const send = () => {
        if (socket.destroyed) return;
        const bytes = answer(request);
        socket.write(bytes, () => sent?.(bytes));
      };
      if (delayMs > 0) setTimeout(send, delayMs);
      else send();
    }
    if (received.length > maxRequestBytes) socket.destroy();
  });
}

const authorized = /\r\nauthorization: bearer \S/i;

function parseHead(head: string): BareRequest | null {
  const [method, path] = head.slice(0, head.indexOf('\r\n')).split(' ');
  if (method !== 'GET' || !path) return null;
  return { path, isAuthorized: authorized.test(head) };
}

const okStart = 'HTTP/1.1 200 ';

/** The head of a 200 answer as log-cache behind gorouter sends it. */
export function okHead(contentLength: number): string {
  return (
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nGrpc-Metadata-Content-Type: application/grpc\r\n' +
    `Date: ${new Date().toUTCString()}\r\nX-Vcap-Request-Id: 5f5a2d3e-0000-4000-8000-000000000000\r\n` +
    `Content-Length: ${contentLength}\r\n\r\n`
  );
}

export function isOk(answer: Buffer): boolean {
  return answer.toString('latin1', 0, okStart.length) === okStart;
}

export function emptyAnswer(status: 400 | 404): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} \r\nContent-Length: 0\r\n\r\n`, 'latin1');
}

import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server as PlainServer,
  type ServerResponse,
} from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { listenOnLoopback } from '../support/listen.js';

export interface HttpsServer {
  readonly url: string;
  readonly server: Server;
  /** TLS connections accepted so far. */
  connections(): number;
  close(): Promise<void>;
}

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** An HTTPS server on loopback; its certificate must be for 127.0.0.1. The handler runs when the body has arrived. */
export async function startHttpsServer(tls: ServerOptions, handler: Handler): Promise<HttpsServer> {
  let connections = 0;
  const server = createServer(tls, withBody(handler));
  server.on('secureConnection', (socket) => {
    connections++;
    socket.on('error', () => {});
  });
  const { port, close } = await listen(server);
  return { url: `https://127.0.0.1:${port}`, server, connections: () => connections, close };
}

/** The same without TLS, for tests of hundreds of connections that are about something else. */
export async function startHttpServer(handler: Handler): Promise<Pick<HttpsServer, 'url' | 'close'>> {
  const { port, close } = await listen(createPlainServer(withBody(handler)));
  return { url: `http://127.0.0.1:${port}`, close };
}

function withBody(handler: Handler) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => handler(request, response, body));
    request.on('error', () => {}); // clients that give up are part of the tests
  };
}

async function listen(server: Server | PlainServer): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return {
    port: await listenOnLoopback(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=UTF-8' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from '../observability/logger.js';

/** Content type of all JSON responses. */
export const jsonType = 'application/json; charset=utf-8';

/** The body of every error, as in all components of the autoscaler. `code` is the status in words: `Bad-Request`. */
function errorBody(status: number, message: string): string {
  return JSON.stringify({ code: statusWords(status).replaceAll(' ', '-'), message });
}

export function sendError(reply: FastifyReply, status: number, message = textOf(status)): FastifyReply {
  return reply.code(status).type(jsonType).send(errorBody(status, message));
}

/** The cause of a failure is for the log; the client learns only the status. */
export function installErrorResponses(app: FastifyInstance, logger: Pick<Logger, 'error'>): void {
  app.setErrorHandler((error: Error & { statusCode?: unknown }, request, reply) => {
    const status = error.statusCode;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      return sendError(reply, status);
    }
    logger.error('request-failed', error, { method: request.method, route: request.routeOptions.url });
    return sendError(reply, 500, 'Internal server error');
  });
}

/** For errors before routing, where hooks and error handler do not run. */
export function rejectUnroutable(error: { statusCode?: number }, reply: FastifyReply): void {
  void sendError(reply, error.statusCode ?? 400);
}

/** Responds to a request that is no readable HTTP, or arrives too slowly, and ends its connection. */
export function rejectUnparsable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') return;
  const status = unreadableStatus[error.code ?? ''] ?? 400;
  respondAndEnd(socket, status, textOf(status));
}

/** No server here is a proxy. */
export function rejectConnect(socket: Socket): void {
  respondAndEnd(socket, 405, 'CONNECT is not allowed here');
  // Node.js has given up this socket: only this timeout ends it if the client does not read.
  socket.setTimeout(connectDeadlineMs, () => socket.destroy());
}

const connectDeadlineMs = 10_000;

function respondAndEnd(socket: Socket, status: number, message: string): void {
  if (socket.destroyed) return;
  const response = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage;
  if (socket.writable && !response?.headersSent) {
    const body = errorBody(status, message);
    socket.write(
      `HTTP/1.1 ${status} ${statusWords(status)}\r\nContent-Type: ${jsonType}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

const unreadableStatus: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

const texts: Readonly<Record<number, string>> = {
  400: 'The request is malformed',
  404: 'There is nothing at this path',
  408: 'The request did not arrive in time',
  413: 'The request body is too large',
  414: 'A part of the path is longer than 255 characters',
  415: 'The content type is not supported',
  431: 'The request line and headers are too large',
};

function textOf(status: number): string {
  return texts[status] ?? statusWords(status);
}

function statusWords(status: number): string {
  return STATUS_CODES[status] ?? 'Error';
}

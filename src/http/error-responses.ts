import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from '../observability/logger.js';

/** The body of every refusal and failure, in the form that the autoscaler's components share. */
interface ErrorBody {
  readonly code: string;
  readonly message: string;
}

/** `code` is the status in words, as in `Bad-Request`. */
function errorBody(status: number, message: string): ErrorBody {
  return { code: statusWords(status).replaceAll(' ', '-'), message };
}

export function sendError(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(status, message)));
}

/** What went wrong inside is for the log; the client learns nothing but the status. */
export function installErrorResponses(app: FastifyInstance, logger: Pick<Logger, 'error'>): void {
  app.setErrorHandler((error: Error & { statusCode?: unknown }, request, reply) => {
    const status = error.statusCode;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      return sendError(reply, status, refusals[status] ?? statusWords(status));
    }
    logger.error('request-failed', error, { method: request.method, route: request.routeOptions.url });
    return sendError(reply, 500, 'Internal server error');
  });
}

/** Refusals before routing, where hooks and error handler do not run. */
export function rejectUnroutable(error: { statusCode?: number }, reply: FastifyReply): void {
  const status = error.statusCode ?? 400;
  void sendError(reply, status, refusals[status] ?? statusWords(status));
}

/** Answers a request that is no readable HTTP, or arrives too slowly, and ends its connection. */
export function rejectUnparsable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') return;
  const status = unreadableStatus[error.code ?? ''] ?? 400;
  answerAndEnd(socket, status, refusals[status] ?? statusWords(status));
}

/** No server here is a proxy. */
export function rejectConnect(socket: Socket): void {
  answerAndEnd(socket, 405, 'CONNECT is not allowed here');
  // Node.js has let go of this socket: nobody else looks whether its last bytes are taken.
  socket.setTimeout(connectDeadlineMs, () => socket.destroy());
}

const connectDeadlineMs = 10_000;

function answerAndEnd(socket: Socket, status: number, message: string): void {
  if (socket.destroyed) return;
  const answering = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage;
  if (socket.writable && !answering?.headersSent) {
    const body = JSON.stringify(errorBody(status, message));
    socket.write(
      `HTTP/1.1 ${status} ${statusWords(status)}\r\nContent-Type: application/json; charset=utf-8\r\n` +
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

const refusals: Readonly<Record<number, string>> = {
  400: 'The request is malformed',
  408: 'The request did not arrive in time',
  413: 'The request body is too large',
  414: 'A part of the path is longer than 255 characters',
  415: 'The content type is not supported',
  431: 'The request line and headers are too large',
};

function statusWords(status: number): string {
  return STATUS_CODES[status] ?? 'Error';
}

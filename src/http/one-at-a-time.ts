import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../observability/metrics.js';

/** Requests of all connections that wait for an earlier one of their connection. Each takes about 5 kB. */
const mostWaiting = 10_000;

/** The requests of one connection, in the order in which they came. */
interface Line {
  busy: boolean;
  readonly waiting: (() => void)[];
}

/**
 * Handles the requests of a connection one after another, and counts those in work. A client may send thousands without
 * waiting for responses (pipelining): handled at once they would keep all others waiting, and all but the first are not
 * told when their client has gone. While one waits, nothing more is read from the connection.
 */
export function respondOneAtATime(
  app: FastifyInstance,
  metrics: Pick<Metrics, 'concurrentHttpRequests' | 'connectionsTurnedAway'>,
): void {
  const lines = new WeakMap<Socket, Line>();
  let waiting = 0;

  const lineOf = (socket: Socket): Line => {
    const known = lines.get(socket);
    if (known) return known;
    const line: Line = { busy: false, waiting: [] };
    lines.set(socket, line);
    socket.once('close', () => {
      waiting -= line.waiting.splice(0).length;
      if (line.busy) metrics.concurrentHttpRequests.dec();
      line.busy = false;
    });
    return line;
  };

  const ended = (line: Line, socket: Socket) => {
    if (!line.busy) return;
    line.busy = false;
    metrics.concurrentHttpRequests.dec();
    const next = line.waiting.shift();
    if (!next) return;
    waiting--;
    if (line.waiting.length === 0) socket.resume();
    next();
  };

  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const line = lineOf(socket);
    const begin = () => {
      line.busy = true;
      metrics.concurrentHttpRequests.inc();
      // Requests of other connections run between two of this one.
      reply.raw.once('close', () => setImmediate(ended, line, socket));
      done();
    };
    if (!line.busy) return begin();
    if (waiting >= mostWaiting) {
      metrics.connectionsTurnedAway.inc();
      return void socket.destroy();
    }
    waiting++;
    line.waiting.push(begin);
    socket.pause();
  });
}

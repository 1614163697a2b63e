import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { WrittenConfig } from '../platform/eventgenerator-config.js';

/* Clients of the eventgenerator's servers that do not do what clients should. Each is ended by the function returned. */

type Ports = Pick<WrittenConfig, 'ports'>;

/** Connections to every server that never say anything, or half of a request. */
export function openSilentClients({ ports }: Ports, count: number): () => void {
  const sockets = [ports.api, ports.health, ports.cf].flatMap((port) =>
    Array.from({ length: count }, (_, i) => {
      const socket = open(port);
      if (i % 2 === 0) socket.write('GET /health HTTP/1.1\r\nhost: x\r\n');
      return socket;
    }),
  );
  return () => sockets.forEach((socket) => socket.destroy());
}

/** Requests for whole histories whose answers are not read. */
export function readHistoriesSlowly(config: WrittenConfig, app: string, count: number): () => void {
  const { ca, cert, key } = config.certificates;
  const tls = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  const sockets = Array.from({ length: count }, () => {
    const socket = connectTls({ host: '127.0.0.1', port: config.ports.api, ...tls });
    socket.on('error', () => {});
    socket.pause();
    const request = `GET /v1/apps/${app}/aggregated_metric_histories/cpu?start=0&end=-1 HTTP/1.1\r\nhost: x\r\n\r\n`;
    socket.write(request.repeat(20));
    return socket;
  });
  return () => sockets.forEach((socket) => socket.destroy());
}

/** So many requests on one connection at once, of which nobody waits for the answers. */
export function askForHealth({ ports }: Ports, count: number): void {
  const socket = open(ports.health);
  socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(count));
  socket.resume();
  setTimeout(() => socket.destroy(), 5_000).unref();
}

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

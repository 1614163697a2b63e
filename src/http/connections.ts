import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Bounds the number of a server's connections. When one too many arrives, the oldest without a request is closed for
 * it: a port scan, or clients that never finish their handshake, must not keep others out. If all have sent a request,
 * the new one is closed. `onFull` is called in both cases. Returns what ends all connections.
 */
export function boundConnections(server: Server, most: number, onFull: () => void): () => void {
  const open = new Set<Socket>();
  /** Connections without a request, oldest first. */
  const strangers = new Map<string, Socket>();

  const forget = (socket: Socket, address: string) => {
    open.delete(socket);
    if (strangers.get(address) === socket) strangers.delete(address);
  };

  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket);
    if (open.size >= most) {
      const [stranger] = strangers;
      onFull();
      if (!stranger) return void socket.destroy();
      forget(stranger[1], stranger[0]);
      stranger[1].destroy();
    }
    open.add(socket);
    strangers.set(address, socket);
    socket.once('close', () => forget(socket, address));
  });
  server.on('request', (request: IncomingMessage) => strangers.delete(addressOf(request.socket)));

  return () => {
    for (const socket of open) socket.destroy();
  };
}

/** The same for a TCP connection and the TLS session on it, which are two sockets to Node.js. */
function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

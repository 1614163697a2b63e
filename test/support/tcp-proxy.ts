import { connect, createServer, type Socket } from 'node:net';
import { listenOnLoopback } from './listen.js';

/** A network between client and server that a test can break. Listens on loopback. */
export interface TcpProxy {
  readonly port: number;
  /** Connections that clients have open now. */
  readonly connections: number;
  /** Keeps all connections, accepts new ones, and forwards nothing in either direction: a lost route. */
  goSilent(): void;
  /** Forwards again, beginning with what was held back. */
  resume(): void;
  /** The next request on each present connection reaches the server, and the connection is reset instead of the answer. */
  loseNextAnswers(): void;
  /** Resets all present connections; new ones are served. */
  cut(): void;
  close(): Promise<void>;
}

export async function startTcpProxy(
  targetPort: number,
  targetHost = '127.0.0.1',
  listenAt: { readonly port?: number; readonly address?: string } = {},
): Promise<TcpProxy> {
  const clients = new Set<Socket>();
  const sockets = new Set<Socket>();
  let isSilent = false;
  /** Connections to the server whose next answer is lost. */
  const losing = new WeakSet<Socket>();
  const upstreams = new Set<Socket>();

  const track = (socket: Socket, peer: () => Socket) => {
    sockets.add(socket);
    if (isSilent) socket.pause();
    socket.on('data', (chunk) => {
      if (losing.has(socket)) peer().resetAndDestroy();
      else peer().write(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      // A silent network does not tell one side that the other has gone.
      if (!isSilent) peer().destroy();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(targetPort, targetHost);
    clients.add(client);
    client.on('close', () => clients.delete(client));
    track(client, () => upstream);
    track(upstream, () => client);
    upstreams.add(upstream);
    upstream.on('close', () => upstreams.delete(upstream));
  });
  const port = await listenOnLoopback(server, listenAt.port, listenAt.address);
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };

  return {
    port,
    get connections() {
      return clients.size;
    },
    goSilent() {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    resume() {
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    loseNextAnswers() {
      for (const upstream of upstreams) losing.add(upstream);
    },
    cut,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}

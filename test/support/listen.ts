import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

/** Listens on loopback and resolves with the port, which the system chooses unless one is given. */
export async function listenOnLoopback(server: Server, port = 0, address = '127.0.0.1'): Promise<number> {
  await once(server.listen(port, address), 'listening');
  return (server.address() as AddressInfo).port;
}

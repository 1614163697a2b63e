import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a database on which each answer takes longer. */
export interface SlowDatabase {
  readonly url: string;
  /** From when an answer is there until it is passed on. */
  setDelay(delayMs: number): void;
  /** How many parts of answers were passed on with a delay. */
  readonly delayed: number;
  close(): Promise<void>;
}

/** Without a delay at first. `databaseUrl`: a host, a port, and no TLS. */
export async function openSlowDatabase(databaseUrl: string): Promise<SlowDatabase> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  let delayMs = 0;
  let delayed = 0;
  const server = createServer((client) => {
    const database = connect(target);
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    client.on('data', (chunk) => database.write(chunk));
    // Timers of the same length fire in their order.
    database.on('data', (chunk) => {
      if (delayMs > 0) delayed++;
      setTimeout(() => client.write(chunk), delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    setDelay: (ms) => (delayMs = ms),
    get delayed() {
      return delayed;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

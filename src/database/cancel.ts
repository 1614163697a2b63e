import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { Clock } from '../util/clock.js';
import { DatabaseSocket, remoteAddressOf } from './socket.js';

/** What the driver has beyond its type definitions; needed to send a CancelRequest as PostgreSQL's protocol defines it. */
interface CancellableClient {
  readonly host: string;
  readonly port: number;
  readonly ssl: boolean | ConnectionOptions;
  readonly sslNegotiation: 'postgres' | 'direct';
  readonly processID: number | null;
  readonly secretKey: number | null;
}
interface CancelConnection extends pg.Connection {
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

const timeoutMs = 1_000;

/**
 * Asks the server, on a connection of its own, to stop what the client's connection is doing. Without it a statement
 * that was given up goes on in the server and the next attempt comes on top. A setting of the session
 * (`statement_timeout`) would do the same, but does not survive a pooler in transaction mode.
 * Best effort: never throws, says nothing, and is over within a second.
 */
export function requestCancel(client: pg.PoolClient, clock: Clock): void {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client as unknown as CancellableClient;
  if (processID === null || secretKey === null) return;
  const connection = new pg.Connection({
    ssl,
    sslNegotiation,
    // Another address of the name may be another server.
    stream: () => new DatabaseSocket(remoteAddressOf(client)),
  } as pg.ConnectionConfig) as CancelConnection;
  const timer = clock.setTimer(timeoutMs, () => connection.stream.destroy());
  const send = () => connection.cancel(processID, secretKey);
  connection.on('error', () => connection.stream.destroy());
  connection.on('end', () => timer.cancel());
  connection.on('connect', () => {
    if (ssl === false) send();
    else if (sslNegotiation === 'postgres') connection.requestSsl();
  });
  connection.on('sslconnect', send);
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}

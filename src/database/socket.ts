import { Socket } from 'node:net';
import type pg from 'pg';
import { lookup } from '../dns/lookup.js';

/** The driver's connection. Resolves names in our way, or connects to a known address. */
export class DatabaseSocket extends Socket {
  constructor(private readonly knownAddress: string | null = null) {
    super();
  }

  /** The driver gives a port and a host, or the path of a Unix socket. */
  override connect(...target: readonly unknown[]): this {
    const [port, host] = target;
    if (typeof port !== 'number' || typeof host !== 'string') return super.connect(...(target as [string]));
    return super.connect({ port, host: this.knownAddress ?? host, lookup });
  }
}

/** Of the server that a connection leads to; undefined on a Unix socket, or after the end. */
export function remoteAddressOf({ connection }: pg.PoolClient): string | undefined {
  return (connection.stream as Partial<Socket>).remoteAddress;
}

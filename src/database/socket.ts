import { Socket } from 'node:net';
import { lookup } from '../dns/lookup.js';

/** The driver's connection, with names resolved in our way. */
export class DatabaseSocket extends Socket {
  /** The driver gives a port and a host, or the path of a Unix socket. */
  override connect(...target: readonly unknown[]): this {
    const [port, host] = target;
    if (typeof port !== 'number' || typeof host !== 'string') return super.connect(...(target as [string]));
    return super.connect({ port, host, lookup });
  }
}

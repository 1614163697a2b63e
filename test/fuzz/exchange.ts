import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ListenerName } from './requests.js';

export interface Target {
  readonly ports: Readonly<Record<ListenerName, number>>;
  /** PEM for the API's mutual TLS. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Longer than the server lets any request take, but for histories that nobody reads. */
const deadlineMs = 40_000;

/**
 * Sends bytes on a connection of their own, and resolves with all that comes back until the server ends the
 * connection. Rejects where it does not. `leave`: says that nothing follows, as a client does that goes away; the
 * answer may be lost then.
 */
export function exchange(
  target: Target,
  { listener, bytes, leave }: { listener: ListenerName; bytes: Buffer; leave: boolean },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const to = { port: target.ports[listener], host: '127.0.0.1' };
    const socket: Socket = listener === 'api' ? connectTls({ ...to, ...target.tls }) : connect(to);
    const received: Buffer[] = [];
    const deadline = setTimeout(() => {
      reject(new Error('the connection was not ended'));
      socket.destroy();
    }, deadlineMs);
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.on('error', () => {}); // whoever has said enough may reset
    socket.on('close', () => {
      clearTimeout(deadline);
      resolve(Buffer.concat(received));
    });
    if (leave) socket.end(bytes);
    else socket.write(bytes);
  });
}

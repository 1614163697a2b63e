import { once } from 'node:events';
import { createServer } from 'node:net';

/*
 * For servers that must know their port before they start. The system gives out ports from 32768 on, by default, also to every
 * outgoing connection: one that was free a moment ago may be somebody's own end. So these are from below, and each of
 * jest's workers has its own.
 */

const lowestPort = 20_000;
const portsPerWorker = 1_000;
const workers = 12;
const given = new Set<number>();

/** A TCP port that is free at this moment, on loopback and everywhere, and was not given to anybody in this file before. */
export async function freePort(): Promise<number> {
  const worker = (Number(process.env['JEST_WORKER_ID'] ?? 0) || process.pid) % workers;
  for (let attempt = 0; attempt < portsPerWorker; attempt++) {
    const port = lowestPort + worker * portsPerWorker + Math.floor(Math.random() * portsPerWorker);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free TCP port from ${lowestPort + worker * portsPerWorker} on`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}

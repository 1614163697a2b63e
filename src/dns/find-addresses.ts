import dns, { type LookupAddress } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { endsWithin, systemClock } from '../util/clock.js';
import type { Addresses } from './name-lookups.js';

/** Milliseconds for the first try of a DNS server; c-ares doubles it with each further try. */
const firstTryMs = 600;
const tries = 3;
/** How long the second family is waited for. Some servers never answer for IPv6. */
const otherFamilyMs = 50;

/**
 * Asks the hosts file, then the DNS servers, then the system's resolver, which knows search domains and other sources. The
 * last one holds one of two threads until DNS answers, and the process cannot end before, so it is not asked where DNS is
 * silent. Rejects with the code of the failure, after some seconds where DNS is silent.
 */
export async function findAddresses(host: string): Promise<Addresses> {
  const listed = addressesIn(await readFile('/etc/hosts', 'utf8').catch(() => ''), host);
  if (listed.length > 0) return listed;
  try {
    return await askServers(host);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ETIMEOUT') throw error;
    return dns.promises.lookup(host, { all: true });
  }
}

async function askServers(host: string): Promise<Addresses> {
  // A new one reads /etc/resolv.conf as it is now.
  const resolver = new dns.promises.Resolver({ timeout: firstTryMs, tries });
  const found: LookupAddress[] = [];
  const ask = async (addresses: Promise<string[]>, family: number) => {
    found.push(...(await addresses).map((address) => ({ address, family })));
  };
  const families = [ask(resolver.resolve4(host), 4), ask(resolver.resolve6(host), 6)];
  try {
    await Promise.any(families);
  } catch (error) {
    const { errors } = error as AggregateError & { errors: NodeJS.ErrnoException[] };
    throw errors.find(({ code }) => code === 'ETIMEOUT') ?? errors[0];
  }
  await endsWithin(systemClock, otherFamilyMs, Promise.allSettled(families));
  return found.toSorted((one, other) => one.family - other.family);
}

/** What a hosts file says about a name. */
export function addressesIn(hostsFile: string, host: string): LookupAddress[] {
  return hostsFile.split('\n').flatMap((line) => {
    const [address = '', ...hosts] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    const family = isIP(address);
    return family !== 0 && hosts.includes(host.toLowerCase()) ? [{ address, family }] : [];
  });
}

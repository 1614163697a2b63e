import { rename, writeFile } from 'node:fs/promises';
import { platformNames } from '../platform/platform.js';

/** Hosts that the eventgenerator must look up. */
export const hosts = ['uaa', 'logCache', 'scalingEngine', 'postgres'] as const;
export type Host = (typeof hosts)[number];

/** Module that gives the names their addresses, in the process that loads it. */
export const namesPreload = new URL('names-preload.js', import.meta.url);

export function nameOf(host: Host): string {
  return platformNames[host];
}

/** The URL with the host's name instead of its address. */
export function onName(text: string, host: Host): string {
  const url = new URL(text);
  url.hostname = nameOf(host);
  return url.href.replace(/\/$/, '');
}

/** Says what becomes of lookups from now on; what is not named is answered. */
export async function writeNameFaults(
  file: string,
  faults: Readonly<Partial<Record<Host, 'hang' | 'fail'>>>,
): Promise<void> {
  const byName = Object.entries(faults).map(([host, fault]) => [nameOf(host as Host), fault] as const);
  await writeFile(`${file}.new`, JSON.stringify(Object.fromEntries(byName)));
  await rename(`${file}.new`, file);
}

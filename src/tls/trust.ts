import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import type { Logger } from '../observability/logger.js';
import { errorCode, errorText } from '../util/errors.js';
import { certificatesIn, readPemFile } from './pem.js';

export interface TrustOptions {
  /** CF_SYSTEM_CERT_PATH: a folder in which every file may hold CA certificates. */
  readonly systemCertPath?: string | undefined;
  /** The system's own store. */
  readonly systemBundle?: string;
  readonly logger: Logger;
  /** For callers that ask repeatedly. */
  readonly memory?: TrustMemory;
}

/** What is remembered of the system's files, by path. */
export class TrustMemory {
  /** What was found before; of a file that became unusable it stays in force. */
  readonly lastGood = new Map<string, readonly string[]>();
  /** What was logged last. It is not said again. */
  readonly said = new Map<string, string>();
}

export const defaultBundle = '/etc/ssl/certs/ca-certificates.crt';

/**
 * The CA certificates that the system trusts, as PEM texts. Node alone trusts only the roots that it was built with. On
 * Cloud Foundry the platform's own CA certificates are in the system's store and in CF_SYSTEM_CERT_PATH. Never rejects.
 */
export async function trustedRoots(options: TrustOptions): Promise<string[]> {
  const roots = new Map<string, string>(
    rootCertificates.map((pem): [string, string] => [pem.replace(/\s/g, ''), pem]),
  );
  for (const file of await systemFiles(options)) {
    for (const pem of await rootsInSystemFile(file, options)) roots.set(pem.replace(/\s/g, ''), pem);
  }
  return [...roots.values()];
}

/**
 * The same for callers that ask repeatedly: read at the first call, and anew when one of the files was replaced since.
 */
export function systemRoots(options: TrustOptions): () => Promise<readonly string[]> {
  const remembering = { memory: new TrustMemory(), ...options };
  let known: { readonly files: string; readonly roots: Promise<readonly string[]> } | undefined;
  return async () => {
    const files = await fingerprint(await systemFiles(remembering));
    if (known?.files !== files) known = { files, roots: trustedRoots(remembering) };
    return known.roots;
  };
}

/** Changes when one of the files does. */
export async function fingerprint(files: readonly string[]): Promise<string> {
  const found = files.map(async (file) => {
    try {
      const { ino, size, ctimeMs } = await stat(file);
      return [file, ino, size, ctimeMs].join();
    } catch (error) {
      return `${file}: ${errorCode(error)}`;
    }
  });
  return (await Promise.all(found)).join();
}

/** Every file in which the system may keep CA certificates. */
export async function systemFiles(options: TrustOptions): Promise<string[]> {
  const files = [options.systemBundle ?? defaultBundle];
  const { systemCertPath: path, logger, memory } = options;
  if (!path) return files;
  try {
    const names = await readdir(path);
    files.push(...names.sort().map((name) => join(path, name)));
    memory?.said.delete(path);
  } catch (error) {
    if (isNews(memory, path, error)) logger.error('system-certificates-unreadable', error, { path });
  }
  return files;
}

async function rootsInSystemFile(
  file: string,
  { logger, memory = new TrustMemory() }: TrustOptions,
): Promise<readonly string[]> {
  const { lastGood, said } = memory;
  try {
    const { certificates, broken } = certificatesIn(await readPemFile(file));
    const used = certificates.length;
    if (broken === 0 && used > 0) said.delete(file);
    else if (isNews(memory, file, `${broken} ${used}`)) {
      logger.info('system-certificates-skipped', { file, broken, used });
    }
    if (used > 0) lastGood.set(file, certificates.map(String));
  } catch (error) {
    // Not every system has a bundle in this place, and nobody configured it.
    if (errorCode(error) === 'ENOENT') {
      logger.debug('system-certificates-missing', { file });
      lastGood.delete(file);
      said.delete(file);
    } else if (isNews(memory, file, error)) {
      logger.error('system-certificates-unreadable', error, { file });
    }
  }
  return lastGood.get(file) ?? [];
}

/** Whether this was not the last that was said of the path. */
function isNews(memory: TrustMemory | undefined, path: string, what: unknown): boolean {
  const text = errorText(what);
  if (memory?.said.get(path) === text) return false;
  memory?.said.set(path, text);
  return true;
}

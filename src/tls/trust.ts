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
}

/** With what is remembered of the system's files, by path. */
interface TrustContext extends TrustOptions {
  /** What was found before; of a file that became unusable it stays in force. */
  readonly lastGood: Map<string, readonly string[]>;
  /** What was logged last. It is not said again. */
  readonly said: Map<string, string>;
}

export const defaultBundle = '/etc/ssl/certs/ca-certificates.crt';

/**
 * The CA certificates that the system trusts, as PEM texts. Node alone trusts only the roots that it was built with. On
 * Cloud Foundry the platform's own CA certificates are in the system's store and in CF_SYSTEM_CERT_PATH. They are read at
 * the first call, and anew when one of the files was replaced since: there are hundreds to parse. Never rejects.
 */
export function systemRoots(options: TrustOptions): () => Promise<readonly string[]> {
  const context: TrustContext = { ...options, lastGood: new Map(), said: new Map() };
  let known: { readonly found: string; readonly roots: Promise<readonly string[]> } | undefined;
  return async () => {
    const files = await systemFiles(context);
    const found = await fingerprint(files);
    if (known?.found !== found) known = { found, roots: rootsIn(files, context) };
    return known.roots;
  };
}

async function rootsIn(files: readonly string[], context: TrustContext): Promise<string[]> {
  const roots = new Map(rootCertificates.map((pem) => [pem.replace(/\s/g, ''), pem]));
  for (const file of files) {
    for (const pem of await rootsInSystemFile(file, context)) roots.set(pem.replace(/\s/g, ''), pem);
  }
  return [...roots.values()];
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
async function systemFiles(context: TrustContext): Promise<string[]> {
  const { systemBundle = defaultBundle, systemCertPath: path, logger, said } = context;
  const files = [systemBundle];
  if (!path) return files;
  try {
    const names = await readdir(path);
    files.push(...names.sort().map((name) => join(path, name)));
    said.delete(path);
  } catch (error) {
    if (isNews(said, path, error)) logger.error('system-certificates-unreadable', error, { path });
  }
  return files;
}

async function rootsInSystemFile(
  file: string,
  { logger, lastGood, said }: TrustContext,
): Promise<readonly string[]> {
  try {
    const { certificates, broken } = certificatesIn(await readPemFile(file));
    const used = certificates.length;
    if (broken === 0 && used > 0) said.delete(file);
    else if (isNews(said, file, `${broken} ${used}`)) {
      logger.info('system-certificates-skipped', { file, broken, used });
    }
    if (used > 0) lastGood.set(file, certificates.map(String));
  } catch (error) {
    // Not every system has a bundle in this place, and nobody configured it.
    if (errorCode(error) === 'ENOENT') {
      lastGood.delete(file);
      said.delete(file);
    } else if (isNews(said, file, error)) {
      logger.error('system-certificates-unreadable', error, { file });
    }
  }
  return lastGood.get(file) ?? [];
}

/** Whether this was not the last that was said of the path. */
function isNews(said: Map<string, string>, path: string, what: unknown): boolean {
  const text = errorText(what);
  if (said.get(path) === text) return false;
  said.set(path, text);
  return true;
}

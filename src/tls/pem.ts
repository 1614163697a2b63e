import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { PemSource } from '../config/config.js';

/** The largest system bundles have some 250 kB; anything far beyond is no certificate file. Bytes. */
const MAX_PEM_FILE_BYTES = 4 * 1024 * 1024;

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** For messages: where the text came from. */
export function describePem(source: PemSource): string {
  return 'file' in source ? source.file : 'the service binding';
}

/** The text of a PEM source; rejects with the system's error where a file cannot be read. */
export async function readPem(source: PemSource): Promise<string> {
  return 'file' in source ? readPemFile(source.file) : source.pem;
}

/** Refuses what is no plain file: reading a pipe or device could wait for ever. */
export async function readPemFile(path: string): Promise<string> {
  const { size } = await stat(path).then((found) => {
    if (!found.isFile()) throw new Error(`${path} is not a file`);
    return found;
  });
  if (size > MAX_PEM_FILE_BYTES) {
    throw new Error(`${path} has ${size} bytes, more than the ${MAX_PEM_FILE_BYTES} that are read`);
  }
  return readFile(path, 'utf8');
}

export interface CertificatesFound {
  readonly certificates: readonly X509Certificate[];
  /** Blocks that look like a certificate and are none. */
  readonly broken: number;
}

/** Every certificate in a PEM text, in its order; other blocks and comments are passed over. */
export function certificatesIn(text: string): CertificatesFound {
  const certificates: X509Certificate[] = [];
  let broken = 0;
  for (const [block] of text.matchAll(certificateBlock)) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      broken++;
    }
  }
  return { certificates, broken };
}

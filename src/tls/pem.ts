import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { PemSource } from '../config/config.js';
import { errorText } from '../util/errors.js';

/** The largest system bundles have some 250 kB. What is far beyond is no certificate file. */
const maxPemFileBytes = 4 * 1024 * 1024;

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** For messages: where the text came from. */
export function describePem(source: PemSource): string {
  return 'file' in source ? source.file : 'the service binding';
}

/** The text of a PEM source; rejects with the system's error where a file cannot be read. */
export async function readPem(source: PemSource): Promise<string> {
  return 'file' in source ? readPemFile(source.file) : source.pem;
}

/**
 * Rejects what is no plain file. Without O_NONBLOCK, opening a pipe would wait for its writer, and the process could not
 * end before.
 */
export async function readPemFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is not a file`);
    if (found.size > maxPemFileBytes) {
      throw new Error(`${path} has ${found.size} bytes, more than the ${maxPemFileBytes} that are read`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/**
 * The CA certificates of a source, each as PEM text, in their order and without repetition. Rejects with source, cause
 * and remedy where one of them cannot be used or there is none, which would otherwise show only at the next connection.
 */
export async function readCaCertificates(source: PemSource): Promise<string[]> {
  const origin = describePem(source);
  let text: string;
  try {
    text = await readPem(source);
  } catch (cause) {
    throw new Error(`Cannot read the trusted certificates in ${origin}: ${errorText(cause)}`, { cause });
  }
  const { certificates, broken } = certificatesIn(text);
  if (broken > 0) {
    throw new Error(
      `The trusted certificates in ${origin} cannot be used: ${broken} of them cannot be parsed; replace the file with PEM certificates`,
    );
  }
  if (certificates.length === 0) {
    throw new Error(
      `${origin} holds no PEM certificate, but is configured as ca_file, the CA certificates to trust`,
    );
  }
  return [...new Set(certificates.map(String))];
}

/** The certificates in a PEM text, in their order, and how many blocks look like one and are none. */
export function certificatesIn(text: string): { certificates: X509Certificate[]; broken: number } {
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

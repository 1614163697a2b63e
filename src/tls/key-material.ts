import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import type { PemSource } from '../config/config.js';
import { errorText } from '../util/errors.js';
import { certificatesIn, describePem, readPem } from './pem.js';

export interface KeyPairSources {
  readonly key: PemSource;
  /** The leaf first, then its intermediates. */
  readonly cert: PemSource;
}

/** A key and the certificate that it belongs to. */
export interface KeyMaterial {
  readonly key: string;
  readonly cert: string;
  /** When the leaf expires, wall-clock ms since the epoch. */
  readonly expiresMs: number;
}

/** The key belongs to another certificate, perhaps because one of the files is just being replaced. */
export class MismatchedKeyError extends Error {
  override readonly name = 'MismatchedKeyError';
}

/** Reads both parts. Rejects unless they belong together and are valid at `nowMs`. */
export async function readKeyMaterial(sources: KeyPairSources, nowMs: number): Promise<KeyMaterial> {
  // Diego replaces the key first. Reading it first, too, makes it likelier that a mismatch is seen.
  const key = await readPart(sources.key, 'private key');
  const cert = await readPart(sources.cert, 'certificate');
  const privateKey = parseKey(key, sources.key);
  const leaf = parseLeaf(cert, sources.cert);

  if (!leaf.checkPrivateKey(privateKey)) {
    throw new MismatchedKeyError(
      `The private key in ${describePem(sources.key)} does not belong to the first certificate in ${describePem(sources.cert)}: give a key and a certificate that were issued together`,
    );
  }
  const expiresMs = Date.parse(leaf.validTo);
  if (!(expiresMs > nowMs)) {
    throw new Error(`The certificate in ${describePem(sources.cert)} expired at ${leaf.validTo}: renew it`);
  }
  return { key, cert, expiresMs };
}

async function readPart(source: PemSource, what: string): Promise<string> {
  try {
    return await readPem(source);
  } catch (cause) {
    throw new Error(`Cannot read the ${what} from ${describePem(source)}: ${errorText(cause)}`, { cause });
  }
}

function parseKey(pem: string, source: PemSource): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new Error(
      `${describePem(source)} holds no usable PEM private key (encrypted keys cannot be used): ${errorText(cause)}`,
    );
  }
}

function parseLeaf(pem: string, source: PemSource): X509Certificate {
  const { certificates, broken } = certificatesIn(pem);
  const [leaf] = certificates;
  if (broken > 0) {
    throw new Error(`${describePem(source)} holds ${broken} certificates that cannot be parsed`);
  }
  if (!leaf) throw new Error(`${describePem(source)} holds no PEM certificate`);
  return leaf;
}

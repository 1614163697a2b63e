import { createSecureContext, type ConnectionOptions, type SecureContextOptions } from 'node:tls';
import pg from 'pg';
import type { PemSource } from '../config/config.js';
import { describePem, readCaCertificates, readPem } from '../tls/pem.js';
import type { ConnectionSettings } from './connection.js';
import { DatabaseConfigError } from './errors.js';
import { errorCode, errorText } from '../util/errors.js';
import { trusting } from '../util/trusting.js';

/** PEM texts of one moment; files may change later. */
interface PemTexts {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** How to try a connection: `false` is plain text. */
export type TlsAttempt = false | ConnectionOptions;

/** Whether it is the process's own roots that decide whom to trust. */
export function needsRoots({ sslMode, sslRootCert }: ConnectionSettings): boolean {
  return (
    (sslMode === 'verify-ca' || sslMode === 'verify-full') &&
    (sslRootCert === null || sslRootCert === 'system')
  );
}

/**
 * The ways to connect that sslmode allows, best first. There is a second one only for `allow` and `prefer`.
 * `allow` and `prefer` never verify the server: who could strip TLS could as well stand in the middle of it.
 * `require` with a root certificate means `verify-ca`, as in libpq.
 * @param roots PEM certificates trusted where `needsRoots`.
 */
export function tlsAttempts(
  settings: ConnectionSettings,
  pems: PemTexts,
  roots: readonly string[],
): readonly [TlsAttempt, TlsAttempt?] {
  const material: SecureContextOptions = {
    ...(pems.cert !== null && { cert: pems.cert }),
    ...(pems.key !== null && { key: pems.key }),
    ...(settings.sslPassword !== undefined && { passphrase: settings.sslPassword }),
    ...(settings.sslMinVersion !== undefined && { minVersion: settings.sslMinVersion }),
    ...(settings.sslMaxVersion !== undefined && { maxVersion: settings.sslMaxVersion }),
  };
  // Made once: to read some hundred roots for every connection would hold up the main thread.
  const context = (ca: readonly string[]) => createSecureContext({ ...material, ...trusting(ca) });
  const unverified = () => ({ secureContext: context([]), rejectUnauthorized: false });
  const verified = () => ({
    secureContext: context(pems.ca === null ? roots : [pems.ca]),
    rejectUnauthorized: true,
  });
  const chainOnly = () => ({ ...verified(), checkServerIdentity: () => undefined });
  switch (settings.sslMode) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, unverified()];
    case 'prefer':
      return [unverified(), false];
    case 'require':
      return [pems.ca === null ? unverified() : chainOnly()];
    case 'verify-ca':
      return [chainOnly()];
    case 'verify-full':
      return [verified()];
  }
}

/** Whether the other way of connecting may help after this failure. A rejected password is rejected either way. */
export function suggestsOtherAttempt(error: unknown, failed: TlsAttempt): boolean {
  // 28000: no line of pg_hba.conf admits this user without (or with) TLS.
  if (error instanceof pg.DatabaseError) return error.code === '28000';
  if (failed === false) return false;
  // The first text is the driver's for a server that answered "no TLS here".
  return errorText(error).includes('does not support SSL') || /^(ERR_SSL_|EPROTO)/.test(errorCode(error));
}

/** Reads certificate, key and root; rejects with a DatabaseConfigError that names the one that cannot be used. */
export async function readPems(key: string, settings: ConnectionSettings): Promise<PemTexts> {
  if (settings.sslMode === 'disable') return { ca: null, cert: null, key: null };
  const pems = {
    ca: await readRoots(key, settings.sslRootCert),
    cert: await readPart(key, 'sslcert', settings.sslCert),
    key: await readPart(key, 'sslkey', settings.sslKey),
  };
  try {
    createSecureContext({
      ...(pems.cert !== null && { cert: pems.cert }),
      ...(pems.key !== null && { key: pems.key }),
      ...(settings.sslPassword !== undefined && { passphrase: settings.sslPassword }),
    });
  } catch (cause) {
    throw new DatabaseConfigError(`${key}: sslcert or sslkey cannot be used: ${errorText(cause)}`, { cause });
  }
  return pems;
}

async function readRoots(key: string, source: ConnectionSettings['sslRootCert']): Promise<string | null> {
  if (source === null || source === 'system') return null;
  try {
    return (await readCaCertificates(source)).join('\n');
  } catch (cause) {
    throw new DatabaseConfigError(`${key}: sslrootcert: ${errorText(cause)}`, { cause });
  }
}

async function readPart(key: string, name: string, source: PemSource | null): Promise<string | null> {
  if (source === null) return null;
  try {
    return await readPem(source);
  } catch (cause) {
    const reason = errorCode(cause) || errorText(cause);
    throw new DatabaseConfigError(`${key}: ${name} cannot be read from ${describePem(source)}: ${reason}`, {
      cause,
    });
  }
}

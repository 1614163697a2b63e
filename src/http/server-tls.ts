import type { Server } from 'node:http';
import type { SecureContextOptions } from 'node:tls';
import { trusting } from '../util/trusting.js';

/** TLS material that may change while the server runs. */
export interface Renewable<T> {
  current(): T;
  /** Calls back after `current` has changed. Returns how to stop that. */
  onChange(listener: () => void): () => void;
}

/** TLS material of one server. */
export interface ServerTls {
  /** As PEM; `cert` is followed by its intermediates. */
  readonly keyPair: Renewable<{ readonly key: string; readonly cert: string }>;
  /** CA certificates that may issue client certificates, as PEM; null: clients are not asked for a certificate. */
  readonly clientCa: Renewable<readonly string[]> | null;
}

/** AEAD with ECDHE only: suites with CBC have a history of padding attacks. Every client of the autoscaler has these. */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

export function secureContext({ keyPair, clientCa }: ServerTls): SecureContextOptions {
  const { key, cert } = keyPair.current();
  return { key, cert, ...(clientCa && trusting(clientCa.current())), minVersion: 'TLSv1.2', ciphers };
}

/** What Node.js keeps of a server's TLS. */
interface Internals {
  readonly _sharedCreds?: { readonly context: { setAllowPartialTrustChain?: () => void } };
}

/**
 * To be called after each change of the server's context, for which Node.js does not take over `allowPartialTrustChain`.
 * Where a version of Node.js has other internals, clients' certificates need the root in `ca_file`, and a test fails.
 */
export function trustIssuersWithoutRoots(server: Server, { clientCa }: ServerTls): void {
  if (clientCa) (server as Internals)._sharedCreds?.context.setAllowPartialTrustChain?.();
}

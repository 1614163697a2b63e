import type { SecureContextOptions } from 'node:tls';

/** PEM text that is renewed while the server runs. */
interface Renewable<T> {
  current(): T;
  /** Calls back after `current` has changed; the function it returns ends that. */
  onChange(listener: () => void): () => void;
}

/** TLS material of one server. */
export interface ServerTls {
  /** Always a pair that belongs together; `cert` is followed by its intermediates. */
  readonly keyPair: Renewable<{ readonly key: string; readonly cert: string }>;
  /** Those who may issue client certificates; null: clients are not asked for one. */
  readonly clientCa: Renewable<readonly string[]> | null;
}

/**
 * Suites of TLS 1.2 that authenticate what they encrypt (AEAD) under a key of this connection only (ECDHE); those with
 * CBC have a history of padding attacks. Every client of the autoscaler has them.
 */
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
  return { key, cert, ...(clientCa && { ca: [...clientCa.current()] }), minVersion: 'TLSv1.2', ciphers };
}

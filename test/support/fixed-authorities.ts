import type { CaCertificates } from '../../src/tls/ca-certificates.js';

/** Authorities that never change. */
export function fixedAuthorities(pems: readonly string[]): CaCertificates {
  return { current: () => pems, onChange: () => () => {}, close: () => {} };
}

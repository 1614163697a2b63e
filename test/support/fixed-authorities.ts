import type { CaCertificates } from '../../src/tls/authorities.js';

/** Authorities that never change. */
export function fixedAuthorities(pems: readonly string[]): CaCertificates {
  return { current: () => pems, onChange: () => () => {}, close: () => {} };
}

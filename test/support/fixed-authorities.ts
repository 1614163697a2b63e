import type { Authorities } from '../../src/tls/authorities.js';

/** Authorities that never change. */
export function fixedAuthorities(pems: readonly string[]): Authorities {
  return { current: () => pems, onChange: () => () => {}, close: () => {} };
}

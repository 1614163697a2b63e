import type { PoolDeps } from './pool.js';
import { systemRoots } from '../tls/trust.js';
import type { Surroundings } from '../surroundings.js';

/** What databases are opened with, in every command: they trust what the platform trusts. */
export function databaseDeps(
  { clock, logger: parent, trust }: Pick<Surroundings, 'clock' | 'logger' | 'trust'>,
  component: 'database' | 'ownership',
): PoolDeps {
  const logger = parent.child(component);
  return { clock, logger, trustedRoots: systemRoots({ ...trust, logger }) };
}

import type { PoolOptions } from './pool.js';
import { systemRoots } from '../tls/trust.js';
import type { ProcessContext } from '../observability/process-context.js';

/** What databases are opened with, in every command: they trust what the platform trusts. */
export function databaseOptions(
  { clock, logger: parent, trust }: Pick<ProcessContext, 'clock' | 'logger' | 'trust'>,
  component: 'database' | 'ownership',
): PoolOptions {
  const logger = parent.child(component);
  return { clock, logger, trustedRoots: systemRoots({ ...trust, logger }) };
}

import type { Clock } from '../util/clock.js';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics.js';

/** What every part may need and no part makes. */
export interface ProcessContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Where the system keeps the CA certificates that it trusts; see systemRoots. */
  readonly trust: { readonly systemCertPath?: string; readonly systemBundle?: string };
}

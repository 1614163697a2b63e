import type { Clock } from '../util/clock.js';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics.js';

/** What every part may need and none of them makes. */
export interface ProcessContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Where the system keeps the authorities that it trusts; see trustedRoots. */
  readonly trust: { readonly systemCertPath?: string; readonly systemBundle?: string };
}

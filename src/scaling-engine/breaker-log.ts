import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Clock } from '../util/clock.js';
import type { AppBreakerListener } from './breakers.js';

/** Lines in a minute: an engine that rejects many apps opens thousands of breakers. */
const linesPerMinute = 20;

/** Logs when the breaker of an app opens and why, and when it closes: one line an app and minute each. */
export function createBreakerLog(context: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'logLinesSuppressed'>;
}): AppBreakerListener {
  const repeated = new RepeatedEvents({ ...context, maxKeys: linesPerMinute });
  return {
    opened(appId, { untilMs, failures, failure: { fault, message } }) {
      const until = new Date(untilMs).toISOString();
      const facts = { appId, until, failures, fault, cause: message };
      repeated.info('app-breaker-opened', facts, `opened ${appId}`);
    },
    closed(appId) {
      repeated.info('app-breaker-closed', { appId }, `closed ${appId}`);
    },
  };
}

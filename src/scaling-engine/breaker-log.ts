import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import { isoTime } from '../util/iso-time.js';
import type { AppBreakerListener } from './breakers.js';

/** Lines in a minute: an engine that rejects many apps opens thousands of breakers. */
const linesPerMinute = 20;

/** Logs when the breaker of an app opens and why, and when it closes: one line an app and minute each. */
export function createBreakerLog(context: LogContext): AppBreakerListener {
  const repeated = new RepeatedEvents({ ...context, maxKeys: linesPerMinute });
  return {
    opened(appId, { untilMs, failures, failure: { fault, message } }) {
      const facts = { appId, until: isoTime(untilMs), failures, fault, cause: message };
      repeated.info('app-breaker-opened', facts, `opened ${appId}`);
    },
    closed(appId) {
      repeated.info('app-breaker-closed', { appId }, `closed ${appId}`);
    },
  };
}

import type { Clock } from '../../src/util/clock.js';
import { Coverage } from '../../src/collection/plan/coverage.js';
import { HttpTimerEvidence } from '../../src/collection/plan/http-timer-evidence.js';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics } from '../../src/observability/metrics.js';

/** What a collector trusts log-cache by, at its start. */
export function trusting(clock: Clock): { coverage: Coverage; evidence: HttpTimerEvidence } {
  const evidence = new HttpTimerEvidence({
    clock,
    logger: silentLogger,
    metrics: createMetrics(),
    historiesAreRead: () => true,
  });
  return { coverage: new Coverage(), evidence };
}

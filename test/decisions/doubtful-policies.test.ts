import { expect, test } from '@jest/globals';
import { reportDoubtfulPolicies } from '../../src/decisions/doubtful-policies.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { inRule, outRule, policyOf, settings } from '../evaluation/examples.js';

test('doubtful policies are named, a bounded number of them a minute', () => {
  const { logger, lines } = recordingLogger();
  const report = reportDoubtfulPolicies({
    logger,
    settings,
    clock: new ManualClock(),
    metrics: createMetrics(),
  });
  report(policyOf([outRule, inRule]));
  expect(lines).toEqual([]);
  const overlapping = [outRule, { ...inRule, threshold: 90n }];
  for (let i = 0; i < 30; i++) report(policyOf(overlapping, '1', `app-${i}`));
  expect(lines).toHaveLength(20);
  expect(lines[0]).toEqual({
    level: 'info',
    event: 'policy.doubtful',
    data: { appId: 'app-0', doubts: [expect.stringContaining('rules 1 and 2 overlap')] },
  });
});

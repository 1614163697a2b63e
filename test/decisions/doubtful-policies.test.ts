import { expect, test } from '@jest/globals';
import { reportDoubtfulPolicies } from '../../src/decisions/doubtful-policies.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { inRule, outRule, policyOf, settings } from '../evaluation/examples.js';

function setUp() {
  const { logger, lines } = recordingLogger();
  const context = { logger, clock: new ManualClock(), metrics: createMetrics() };
  return { report: reportDoubtfulPolicies({ ...context, settings }), lines };
}

test('doubtful policies are named, a bounded number of them a minute', () => {
  const { report, lines } = setUp();
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

test('a policy whose minimum is its maximum is doubtful', () => {
  const { report, lines } = setUp();
  report({ ...policyOf([outRule, inRule]), fixedInstances: 2 });
  expect(lines.map(({ data }) => data)).toEqual([
    { appId: 'app', doubts: ['minimum and maximum are both 2: the rules can change nothing'] },
  ]);
});

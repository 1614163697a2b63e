import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { doubtsOf } from '../explanation/doubts.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import type { AppPolicy } from '../policy/policy.js';

export interface DoubtfulPoliciesOptions extends LogContext {
  readonly settings: EvaluationSettings;
}

/** Policies named in the log in a minute: a schema that became wrong would make thousands doubtful. */
const namedPerMinute = 20;

/** Returns what tells of one version of a policy what is doubtful about its rules. Limits of instances are not known there. */
export function reportDoubtfulPolicies(options: DoubtfulPoliciesOptions): (policy: AppPolicy) => void {
  const repeated = new RepeatedEvents({ ...options, logger: options.logger.child('policy') });
  let named = 0;
  return (policy) => {
    const unlimited = { kind: 'usable', policy, minInstances: null, maxInstances: null } as const;
    const doubts = doubtsOf(unlimited, options.settings);
    if (doubts.length === 0) return;
    const facts = { appId: policy.appId, doubts: doubts.map(({ text }) => text) };
    repeated.info('doubtful', facts, `doubtful ${named++ % namedPerMinute}`);
  };
}

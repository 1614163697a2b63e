import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { doubtsOf } from '../explanation/doubts.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import type { AppPolicy } from '../policy/policy.js';

/** Policies named in the log in a minute: a schema that became wrong would make thousands doubtful. */
const namedPerMinute = 20;

/** Returns a function that logs what is doubtful in a policy. To be called once for each version. */
export function reportDoubtfulPolicies(
  options: LogContext & { readonly settings: EvaluationSettings },
): (policy: AppPolicy) => void {
  const repeated = new RepeatedEvents({ ...options, logger: options.logger.child('policy') });
  let named = 0;
  return (policy) => {
    const doubts = doubtsOf(policy, options.settings);
    if (doubts.length === 0) return;
    const facts = { appId: policy.appId, doubts: doubts.map(({ text }) => text) };
    repeated.info('doubtful', facts, `doubtful ${named++ % namedPerMinute}`);
  };
}

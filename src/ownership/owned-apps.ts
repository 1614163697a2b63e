import type { AppPolicy, PolicySnapshot } from '../policy/policy.js';
import type { Ownership } from './ownership.js';

/** The policies whose apps are ours and have something to evaluate. Key: app id. */
export function ownedPolicies(
  snapshot: PolicySnapshot,
  ownership: Pick<Ownership, 'owns'>,
): Map<string, AppPolicy> {
  const owned = new Map<string, AppPolicy>();
  for (const [appId, policy] of snapshot) {
    if (policy.rules.length > 0 && ownership.owns(appId)) owned.set(appId, policy);
  }
  return owned;
}

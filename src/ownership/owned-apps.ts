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

interface MovedApps {
  /** Owned now and not before: their histories, cool-downs and back-offs are to be read. */
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

/** What a change of membership moved. Both arguments must come from the same policies, or it shows their changes too. */
export function movedApps(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): MovedApps {
  return {
    gained: [...after.keys()].filter((appId) => !before.has(appId)),
    lost: [...before.keys()].filter((appId) => !after.has(appId)),
  };
}

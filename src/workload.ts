import type { EvaluationSettings } from './evaluation/breach-rule.js';
import { historyKeys, type HistoryKey } from './history/history-key.js';
import type { Metrics } from './observability/metrics.js';
import { ownedPolicies } from './ownership/owned-apps.js';
import type { Ownership } from './ownership/ownership.js';
import type { AppPolicy, PolicySnapshot } from './policy/policy.js';

export interface WorkloadOptions {
  readonly ownership: Ownership;
  readonly settings: EvaluationSettings;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
  readonly metrics: Pick<Metrics, 'appsOwned'>;
  readonly schedule: { setApps(appIds: ReadonlySet<string>): void };
  readonly history: { retain(wanted: ReadonlyMap<string, ReadonlySet<string>>): void };
  readonly evaluator: { forget(appId: string): void; policyChanged(app: AppPolicy): void };
  readonly warmUp: { want(keys: ReadonlyMap<string, readonly HistoryKey[]>): void };
}

/** The apps that this process works on: those with scaling rules that it owns. */
export interface Workload {
  policyOf(appId: string): AppPolicy | undefined;
  /** Puts new policies in force. */
  use(policies: PolicySnapshot): void;
  readonly size: number;
}

/**
 * Follows policies and ownership, and tells the parts that keep something per app what came and what went.
 * What nobody works on any more is forgotten everywhere, so memory follows the policies in force.
 */
export function createWorkload(options: WorkloadOptions): Workload {
  const { ownership, settings, metrics, schedule, history, evaluator, warmUp } = options;
  let policies: PolicySnapshot = new Map();
  let owned = new Map<string, AppPolicy>();

  function update(): void {
    const before = owned;
    owned = ownedPolicies(policies, ownership);
    const wanted = new Map<string, ReadonlySet<string>>();
    const added = new Map<string, readonly HistoryKey[]>();
    for (const [appId, policy] of owned) {
      const known = before.get(appId);
      const appKeys = historyKeys(policy, settings, options.cacheSizePerApp);
      wanted.set(appId, new Set(appKeys.map((key) => key.metricType)));
      if (known === policy) continue;
      if (known) evaluator.policyChanged(policy);
      added.set(appId, appKeys);
    }
    for (const appId of before.keys()) if (!owned.has(appId)) evaluator.forget(appId);
    history.retain(wanted);
    metrics.appsOwned.set(owned.size);
    warmUp.want(added);
    schedule.setApps(new Set(owned.keys()));
  }

  ownership.onChange(update);

  return {
    policyOf: (appId) => owned.get(appId),
    use(snapshot) {
      policies = snapshot;
      update();
    },
    get size() {
      return owned.size;
    },
  };
}

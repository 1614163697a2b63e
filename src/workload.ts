import type { EvaluationSettings } from './evaluation/breach-rule.js';
import { historyKeys, type HistoryKey } from './history/history-key.js';
import type { Logger } from './observability/logger.js';
import type { Metrics } from './observability/metrics.js';
import { movedApps, ownedPolicies } from './ownership/owned-apps.js';
import type { Ownership } from './ownership/ownership.js';
import type { AppPolicy, PolicySnapshot } from './policy/policy.js';

export interface WorkloadOptions {
  readonly ownership: Ownership;
  readonly settings: EvaluationSettings;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
  readonly metrics: Pick<Metrics, 'appsOwned' | 'appsMoved'>;
  readonly logger: Logger;
  readonly schedule: { setApps(appIds: ReadonlySet<string>): void };
  readonly history: { retain(wanted: ReadonlyMap<string, ReadonlySet<string>>): void };
  readonly evaluator: { forget(appId: string): void; policyChanged(app: AppPolicy): void };
  readonly takeover: { begin(keys: ReadonlyMap<string, readonly HistoryKey[]>): void };
  /** Called after apps were let go: what was collected of them is wanted by their new owners. */
  readonly saveNow: () => void;
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
  const { ownership, settings, metrics, schedule, history, evaluator, takeover } = options;
  let policies: PolicySnapshot = new Map();
  let owned = new Map<string, AppPolicy>();

  function update(cause: 'policies' | 'members'): void {
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
    const { gained, lost } = movedApps(before, owned);
    for (const appId of lost) evaluator.forget(appId);
    if (lost.length > 0) options.saveNow();
    if (cause === 'members' && gained.length + lost.length > 0) {
      metrics.appsMoved.inc({ direction: 'gained' }, gained.length);
      metrics.appsMoved.inc({ direction: 'lost' }, lost.length);
      options.logger.info('apps-moved', { gained: gained.length, lost: lost.length, owned: owned.size });
    }
    history.retain(wanted);
    metrics.appsOwned.set(owned.size);
    takeover.begin(added);
    schedule.setApps(new Set(owned.keys()));
  }

  ownership.onChange(() => update('members'));

  return {
    policyOf: (appId) => owned.get(appId),
    use(snapshot) {
      policies = snapshot;
      update('policies');
    },
    get size() {
      return owned.size;
    },
  };
}

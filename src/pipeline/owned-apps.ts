import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { historyKeys, type HistoryKey } from '../history/history-key.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import type { Ownership, OwnershipChange } from '../ownership/ownership.js';
import type { AppPolicy, PolicySnapshot } from '../policy/policy.js';

export interface OwnedAppsOptions {
  readonly ownership: Ownership;
  readonly settings: EvaluationSettings;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
  readonly metrics: Pick<Metrics, 'appsOwned' | 'appsMoved'>;
  readonly logger: Logger;
  readonly schedule: { setApps(appIds: ReadonlySet<string>, change?: OwnershipChange): void };
  readonly history: {
    retain(appId: string, metricTypes: ReadonlySet<string>): void;
    forget(appId: string): void;
  };
  readonly evaluator: { forget(appId: string): void; policyChanged(app: AppPolicy): void };
  readonly takeover: { begin(keys: ReadonlyMap<string, readonly HistoryKey[]>): void };
  /** Called after apps were lost: their new owners need what was collected of them. */
  readonly saveSoon: () => void;
}

/** The apps that this process works on: those with scaling rules that it owns. */
export interface OwnedApps {
  policyOf(appId: string): AppPolicy | undefined;
  /** The policy in force, whichever member owns the app. */
  policyInForce(appId: string): AppPolicy | undefined;
  /** Puts new policies in force. `changed`: the apps whose policies came, went or changed; default: any may have. */
  use(policies: PolicySnapshot, changed?: Iterable<string>): void;
  readonly size: number;
}

/**
 * Follows policies and ownership, and notifies the parts that keep something per app of apps gained and lost. An app
 * that is lost is forgotten everywhere, so that memory follows the policies in force. Only apps that changed are
 * touched: with tens of thousands of apps anything else would block the main thread for a tenth of a second and more.
 */
export function createOwnedApps(options: OwnedAppsOptions): OwnedApps {
  const { ownership, settings, metrics, schedule, history, evaluator, takeover } = options;
  let policies: PolicySnapshot = new Map();
  const owned = new Map<string, AppPolicy>();

  /** The app's policy if the app is ours and has something to evaluate. */
  function policyToWorkOn(appId: string): AppPolicy | undefined {
    const policy = policies.get(appId);
    return policy && policy.rules.length > 0 && ownership.owns(appId) ? policy : undefined;
  }

  function update(cause: 'policies' | 'members', appIds: Iterable<string>, change?: OwnershipChange): void {
    const added = new Map<string, readonly HistoryKey[]>();
    let gained = 0;
    let lost = 0;
    for (const appId of appIds) {
      const known = owned.get(appId);
      const policy = policyToWorkOn(appId);
      if (policy === known) continue;
      if (!policy) {
        lost++;
        drop(appId);
        continue;
      }
      owned.set(appId, policy);
      const keys = historyKeys(policy, settings, options.cacheSizePerApp);
      added.set(appId, keys);
      if (!known) gained++;
      else {
        evaluator.policyChanged(policy);
        history.retain(appId, new Set(keys.map(({ metricType }) => metricType)));
      }
    }
    if (lost > 0) options.saveSoon();
    if (cause === 'members' && gained + lost > 0) {
      metrics.appsMoved.inc({ direction: 'gained' }, gained);
      metrics.appsMoved.inc({ direction: 'lost' }, lost);
      options.logger.info('apps-moved', { gained, lost, owned: owned.size });
    }
    metrics.appsOwned.set(owned.size);
    takeover.begin(added);
    if (gained + lost > 0) schedule.setApps(new Set(owned.keys()), change);
  }

  function drop(appId: string): void {
    owned.delete(appId);
    evaluator.forget(appId);
    history.forget(appId);
  }

  ownership.onChange((change) => update('members', policies.keys(), change));

  return {
    // Asked again, because a process does not notice that it was frozen.
    policyOf: (appId) => (ownership.owns(appId) ? owned.get(appId) : undefined),
    policyInForce: (appId) => policies.get(appId),
    use(snapshot, changed) {
      policies = snapshot;
      update('policies', changed ?? new Set([...owned.keys(), ...snapshot.keys()]));
    },
    get size() {
      return owned.size;
    },
  };
}

import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import type { History } from '../history/history.js';
import { historyKeys, type HistoryKey } from '../history/history-key.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import type { Ownership } from '../ownership/ownership.js';
import type { AppPolicy } from '../policy/policy.js';
import type { PolicyChanges } from '../policy/policy-changes.js';
import type { PolicyPoller } from '../policy/policy-poller.js';
import type { Schedule } from '../schedule/schedule.js';
import type { Takeover } from './takeover.js';

export interface OwnedAppsOptions {
  readonly ownership: Ownership;
  readonly policies: Pick<PolicyPoller, 'policyOf' | 'appIds'>;
  readonly settings: EvaluationSettings;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
  readonly metrics: Pick<Metrics, 'appsOwned' | 'appsMoved'>;
  readonly logger: Logger;
  readonly schedule: Pick<Schedule, 'add' | 'remove'>;
  readonly history: Pick<History, 'retain' | 'forget'>;
  readonly evaluator: { forget(appId: string): void; policyChanged(app: AppPolicy): void };
  readonly takeover: Pick<Takeover, 'begin'>;
  /** Called after apps were lost: their new owners need what was collected of them. */
  readonly saveSoon: () => void;
}

/**
 * The apps that this process works on: those with scaling rules that it owns. Follows policies and ownership, and
 * notifies the parts that keep something per app of apps gained and lost. An app that is lost is forgotten everywhere,
 * so that memory follows the policies in force. Only apps that changed are touched: with tens of thousands of apps
 * anything else would block the main thread for a tenth of a second and more.
 */
export class OwnedApps {
  readonly #owned = new Map<string, AppPolicy>();
  /** Since the log last told of them. */
  #moved = { gained: 0, lost: 0 };

  constructor(private readonly options: OwnedAppsOptions) {
    const { ownership, policies } = options;
    ownership.onChange(({ untilMs }) =>
      this.#update('members', new Set([...this.#owned.keys(), ...policies.appIds()]), {
        sinceMs: -Infinity,
        untilMs,
      }),
    );
  }

  get size(): number {
    return this.#owned.size;
  }

  /** Asks for the owner again, because a process does not notice that it was frozen. */
  policyOf(appId: string): AppPolicy | undefined {
    return this.options.ownership.owns(appId) ? this.#owned.get(appId) : undefined;
  }

  /** Takes over what changed in the policies. */
  use({ cause, added, changed, removed, sinceMs, isGained = false }: PolicyChanges): void {
    this.#update(cause, [...added, ...changed, ...removed], { sinceMs });
    if (isGained) this.#tellMoved();
  }

  #update(
    cause: PolicyChanges['cause'],
    appIds: Iterable<string>,
    { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs?: number },
  ): void {
    const { metrics, schedule, takeover } = this.options;
    const keys = new Map<string, readonly HistoryKey[]>();
    const gained: string[] = [];
    const lost: string[] = [];
    for (const appId of appIds) {
      const known = this.#owned.get(appId);
      const policy = this.#policyToWorkOn(appId);
      if (policy === known) continue;
      if (!policy) {
        lost.push(appId);
        this.#drop(appId);
        continue;
      }
      if (!known) gained.push(appId);
      keys.set(appId, this.#take(policy, known !== undefined));
    }
    if (lost.length > 0) this.options.saveSoon();
    metrics.appsOwned.set(this.#owned.size);
    takeover.begin(keys, gained);
    if (lost.length > 0) schedule.remove(lost, untilMs);
    for (const [since, some] of this.#bySince(gained, sinceMs)) schedule.add(some, since);
    if (cause === 'policies') return;
    this.#moved.gained += gained.length;
    this.#moved.lost += lost.length;
  }

  /** Groups apps by the time from which their cycles are due; undefined means from now on. */
  #bySince(appIds: readonly string[], sinceMs: number): ReadonlyMap<number | undefined, readonly string[]> {
    const groups = new Map<number | undefined, string[]>();
    for (const appId of appIds) {
      const ownedSinceMs = this.options.ownership.ownedSinceMs(appId);
      const since = ownedSinceMs === null ? undefined : Math.max(sinceMs, ownedSinceMs);
      const group = groups.get(since);
      if (group) group.push(appId);
      else groups.set(since, [appId]);
    }
    return groups;
  }

  /** The app's policy if the app is ours and has something to evaluate. */
  #policyToWorkOn(appId: string): AppPolicy | undefined {
    const { ownership, policies } = this.options;
    const policy = policies.policyOf(appId);
    return policy && policy.rules.length > 0 && ownership.owns(appId) ? policy : undefined;
  }

  #take(policy: AppPolicy, wasOwned: boolean): readonly HistoryKey[] {
    const { cacheSizePerApp, evaluator, history, settings } = this.options;
    this.#owned.set(policy.appId, policy);
    const keys = historyKeys(policy, settings, cacheSizePerApp);
    if (wasOwned) {
      evaluator.policyChanged(policy);
      history.retain(policy.appId, new Set(keys.map(({ metricType }) => metricType)));
    }
    return keys;
  }

  #drop(appId: string): void {
    this.#owned.delete(appId);
    this.options.evaluator.forget(appId);
    this.options.history.forget(appId);
  }

  #tellMoved(): void {
    const { logger, metrics } = this.options;
    const { gained, lost } = this.#moved;
    if (gained + lost === 0) return;
    metrics.appsMoved.inc({ direction: 'gained' }, gained);
    metrics.appsMoved.inc({ direction: 'lost' }, lost);
    logger.info('apps-moved', { gained, lost, owned: this.#owned.size });
    this.#moved = { gained: 0, lost: 0 };
  }
}

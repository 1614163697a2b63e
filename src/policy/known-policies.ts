import type { AppPolicy } from './policy.js';
import { listOf, PolicyIndex } from './policy-index.js';
import type { Bucket, PolicyText, StoredPolicy } from './policy-store.js';

interface Known {
  /** As its row had it when it was read. */
  readonly stamp: number;
  readonly stored: StoredPolicy;
  /** It was another member's at the end of the last poll. */
  isLeaving: boolean;
}

/** The policies of this member's apps as they were last read, and what of a new read differs from them. */
export class KnownPolicies {
  /** The apps that have a policy, those of all members together. */
  readonly all = new PolicyIndex();
  /** Those of `all` whose policies are still to be read, because they were not found or a read failed. */
  readonly unread = new Set<string>();
  readonly #known = new Map<string, Known>();

  constructor(
    private readonly isOurs: (appId: string) => boolean,
    /** Called with each policy that was read and is new or another than before. */
    private readonly newVersion: (appId: string, before: StoredPolicy | undefined, now: StoredPolicy) => void,
  ) {}

  get size(): number {
    return this.#known.size;
  }

  policyOf(appId: string): AppPolicy | undefined {
    const stored = this.#known.get(appId)?.stored;
    return stored?.kind === 'usable' ? stored.policy : undefined;
  }

  /** Whether the app has a policy, be it broken. */
  has(appId: string): boolean {
    return this.#known.has(appId);
  }

  appIds(): Iterable<string> {
    return this.#known.keys();
  }

  /** Which apps of a bucket have policies to be read, and which of those known or unread have no policy any more. */
  compare(bucket: Omit<Bucket, 'digest'>): {
    readonly toRead: readonly string[];
    readonly gone: readonly string[];
  } {
    const gone = new Set(this.all.appIdsOf(bucket.number));
    const stamps = listOf<number>(bucket.stamps);
    const toRead = listOf<string>(bucket.appIds).filter((appId, i) => {
      const isNew = !gone.delete(appId);
      const known = this.#known.get(appId);
      // Those that became ours are read when all of them are looked for.
      return known ? known.stamp !== stamps[i] : isNew && this.isOurs(appId);
    });
    return { toRead, gone: [...gone].filter((appId) => this.#known.has(appId) || this.unread.has(appId)) };
  }

  /** Whether the app became this member's, and its policy is to be read. */
  isGained(appId: string): boolean {
    return !this.#known.has(appId) && this.isOurs(appId);
  }

  remove(appIds: readonly string[]): void {
    for (const appId of appIds) {
      this.#known.delete(appId);
      this.unread.delete(appId);
    }
  }

  /** Remembers policies that were read. Returns the apps whose policy came into force, was replaced, or is not in force any more. */
  take(policies: readonly PolicyText[]) {
    const taken = { added: [] as string[], changed: [] as string[], removed: [] as string[] };
    for (const { appId, stamp, stored } of policies) {
      this.unread.delete(appId);
      const before = this.#known.get(appId)?.stored;
      const isSame = before?.version === stored.version;
      this.#known.set(appId, { stamp, stored: isSame ? before : stored, isLeaving: false });
      if (isSame) continue;
      this.newVersion(appId, before, stored);
      if (before?.kind !== 'usable') {
        if (stored.kind === 'usable') taken.added.push(appId);
      } else {
        taken[stored.kind === 'usable' ? 'changed' : 'removed'].push(appId);
      }
    }
    return taken;
  }

  /**
   * Counts the policies of this member's apps. `dropsOthers`: forgets what was another member's for a whole interval
   * already; of an app that was lost just now, cycles may still be under way.
   */
  count({ dropsOthers = false } = {}) {
    const counts = { owned: 0, withRules: 0, broken: [] as string[] };
    for (const [appId, known] of this.#known) {
      const { stored } = known;
      if (!this.isOurs(appId)) {
        if (dropsOthers && known.isLeaving) this.#known.delete(appId);
        known.isLeaving ||= dropsOthers;
        continue;
      }
      known.isLeaving = false;
      counts.owned++;
      if (stored.kind === 'broken') counts.broken.push(appId);
      else if (stored.policy.rules.length > 0) counts.withRules++;
    }
    return counts;
  }
}

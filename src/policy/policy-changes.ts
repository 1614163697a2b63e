import type { Clock } from '../util/clock.js';
import type { KnownPolicies } from './known-policies.js';
import type { Bucket, PolicyStore } from './policy-store.js';

/** Changes of this member's apps, by app id. A policy that became broken counts as removed. */
export interface PolicyChanges {
  /** Whether the policies changed, or only which apps are this member's. */
  readonly cause: 'policies' | 'members';
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Their cycles are due since then, or since the apps are this member's if that is later. Monotonic ms. */
  readonly sinceMs: number;
  /** All apps that were gained have been told of. */
  readonly isGained?: boolean;
}

export interface PolicyChangesReaderOptions {
  readonly store: PolicyStore;
  readonly known: KnownPolicies;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Once it has aborted, reads reject and have no effect any more. */
  readonly signal: AbortSignal;
  /** Called with what a read changed, in slices: after each the event loop has a turn. */
  readonly notify: (changes: PolicyChanges) => void;
}

const policiesPerStatement = 2_000;
/** After so long the event loop has a turn. */
const sliceMs = 8;

/**
 * Brings what is known of policies up to date. It asks for the digests of all buckets, reads which apps are in the buckets
 * that differ, and then reads the policies that differ. If a read fails on the way, the next one reads the rest.
 */
export class PolicyChangesReader {
  constructor(private readonly options: PolicyChangesReaderOptions) {}

  /** Reads what changed, and says how many policies that are. */
  async readChanges(sinceMs: number) {
    const { store, known, signal, notify } = this.options;
    const differing = known.all.differing(await store.digests());
    const { found, toRead, gone } = await this.#readBuckets(differing);
    const why = { cause: 'policies', sinceMs } as const;
    signal.throwIfAborted();
    // Comes before the policies are read. If that fails, the next poll still notices which apps have been removed.
    known.all.replace(differing, found);
    for (const appId of toRead) known.unread.add(appId);
    known.remove(gone);
    notify({ ...why, added: [], changed: [], removed: gone });
    const { added, changed, broken } = await this.#readPolicies([...known.unread], why);
    signal.throwIfAborted();
    return { added, changed, removed: gone.length + broken };
  }

  async readGained(): Promise<void> {
    const why = { cause: 'members', sinceMs: -Infinity } as const;
    await this.#readPolicies(await this.#gained(), why);
    this.options.notify({ ...why, added: [], changed: [], removed: [], isGained: true });
  }

  async #readBuckets(numbers: readonly number[]) {
    const { store, known } = this.options;
    const found: Bucket[] = [];
    const toRead: string[] = [];
    const gone: string[] = [];
    const emptied = new Set(numbers);
    if (numbers.length > 0) {
      for await (const buckets of store.buckets(numbers)) {
        for (const bucket of buckets) {
          found.push(bucket);
          emptied.delete(bucket.number);
          const differences = known.compare(bucket);
          toRead.push(...differences.toRead);
          gone.push(...differences.gone);
        }
      }
    }
    await this.#inSlices(emptied, (number) => {
      gone.push(...known.compare({ number, appIds: '[]', stamps: '[]' }).gone);
    });
    return { found, toRead, gone };
  }

  async #gained(): Promise<string[]> {
    const { known } = this.options;
    const gained: string[] = [];
    await this.#inSlices(known.all.appIds(), (appIds) => {
      gained.push(...appIds.filter((appId) => known.isGained(appId)));
    });
    return gained;
  }

  async #readPolicies(appIds: readonly string[], why: Pick<PolicyChanges, 'cause' | 'sinceMs'>) {
    const { store, known, signal, notify } = this.options;
    const counts = { added: 0, changed: 0, broken: 0 };
    for (let start = 0; start < appIds.length; start += policiesPerStatement) {
      const some = appIds.slice(start, start + policiesPerStatement);
      for await (const policies of store.policies(some)) {
        signal.throwIfAborted();
        const changes = known.take(policies);
        counts.added += changes.added.length;
        counts.changed += changes.changed.length;
        counts.broken += changes.removed.length;
        notify({ ...why, ...changes });
      }
      // They were removed after they had been listed. If they are written again before the next poll, it lists them as before.
      for (const appId of some) if (!known.has(appId)) known.unread.add(appId);
    }
    return counts;
  }

  async #inSlices<T>(items: Iterable<T>, look: (item: T) => void): Promise<void> {
    const { clock } = this.options;
    let endMs = clock.monotonic() + sliceMs;
    for (const item of items) {
      look(item);
      if (clock.monotonic() < endMs) continue;
      await turn();
      endMs = clock.monotonic() + sliceMs;
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

import { backOff } from '../util/back-off.js';
import { endsUnlessAborted, sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { AppPolicy } from './policy.js';
import { listOf, PolicyIndex } from './policy-index.js';
import { PolicyReports } from './policy-reports.js';
import type { Bucket, PolicyStore, PolicyText, StoredPolicy } from './policy-store.js';

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

export interface PolicyPollerOptions {
  readonly store: PolicyStore;
  /** Whether an app is this member's; only their policies are kept. `ownershipChanged` says that this may have changed. */
  readonly isOurs: (appId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    | 'policies'
    | 'policiesOwned'
    | 'policiesBroken'
    | 'policiesWithRules'
    | 'policiesAgeSeconds'
    | 'policyPolls'
    | 'logLinesSuppressed'
  >;
  /** From the end of one read to the start of the next. */
  readonly intervalMs: number;
  /** 0 to 1; default Math.random. */
  readonly random?: () => number;
}

interface Known {
  /** As its row had it when it was read. */
  readonly stamp: number;
  readonly stored: StoredPolicy;
  /** It was another member's at the end of the last poll. */
  isLeaving: boolean;
}

const firstRetryMs = 1_000;
/** policy_db is asked again within half a minute of its return, however long it was away. */
const maxRetryMs = 30_000;
/** Policies asked for in one statement. */
const policiesPerStatement = 2_000;
/** After so long the event loop has a turn. */
const sliceMs = 8;

/**
 * Keeps the policies in force up to date, of this member's apps alone. Asks for a digest of all policies, reads of the
 * buckets that differ which apps they have, and then the policies that differ. While policy_db is away the last good
 * ones stay in force, and their age is a metric. Never reads twice at once; waits after every read, longer and longer
 * after failures.
 */
export class PolicyPoller {
  readonly #options: PolicyPollerOptions;
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #reports: PolicyReports;
  readonly #random: () => number;
  readonly #listeners = new Set<(changes: PolicyChanges) => void>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  readonly #index = new PolicyIndex();
  readonly #known = new Map<string, Known>();
  #loop: Promise<void> | undefined;
  #readAtMs: number | undefined;
  #nextPollMs = -Infinity;
  /** Apps may have been gained whose policies were not read yet. */
  #mayHaveGained = false;
  #failures = 0;
  #tellFirstRead = () => {};
  /** Resolves when the policies were read for the first time, and all listeners know them. */
  readonly firstRead = new Promise<void>((resolve) => (this.#tellFirstRead = resolve));

  constructor(options: PolicyPollerOptions) {
    this.#options = options;
    this.#logger = options.logger.child('policy');
    const { clock, metrics } = options;
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
    this.#reports = new PolicyReports(this.#repeated, clock);
    this.#random = options.random ?? Math.random;
  }

  /** The policy in force, of an app that is this member's or was until a moment ago. */
  policyOf(appId: string): AppPolicy | undefined {
    const stored = this.#known.get(appId)?.stored;
    return stored?.kind === 'usable' ? stored.policy : undefined;
  }

  /** The apps whose policies are kept here. */
  appIds(): Iterable<string> {
    return this.#known.keys();
  }

  /** Calls the listener with what a read changed, in slices: after each the event loop has a turn. */
  onChange(listener: (changes: PolicyChanges) => void): void {
    this.#listeners.add(listener);
  }

  /** Reads at once, and again after every interval. Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Reads the policies of apps that were gained, at once. */
  ownershipChanged(): void {
    this.#mayHaveGained = true;
    this.#wake.abort();
  }

  /** Says how old the policies are. To be called every few seconds. */
  refresh(): void {
    if (this.#readAtMs === undefined) return;
    this.#options.metrics.policiesAgeSeconds.set((this.#options.clock.monotonic() - this.#readAtMs) / 1000);
  }

  /** Ends the loop at once. A read that is running has no effect, and no listener is called any more. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await endsUnlessAborted(this.#read(), signal);
      await this.#wait();
    }
  }

  async #read(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    try {
      const isPoll = clock.monotonic() >= this.#nextPollMs;
      if (isPoll) await this.#poll();
      if (this.#mayHaveGained) await this.#gain();
      if (this.#stopping.signal.aborted) return;
      this.#reports.endOfRead(this.#lookThrough({ dropsOthers: isPoll }));
      this.refresh();
      this.#tellFirstRead();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#failed(error);
    }
    const delayMs = this.#failures === 0 ? intervalMs : this.#retryDelayMs();
    if (clock.monotonic() >= this.#nextPollMs) this.#nextPollMs = clock.monotonic() + delayMs;
  }

  /** Brings what is known up to date. A poll that fails on the way finds the rest the next time. */
  async #poll(): Promise<void> {
    const { store, clock, metrics } = this.#options;
    const { signal } = this.#stopping;
    // At the first read, apps may have waited for us; later, those that are found are new.
    const sinceMs = this.#readAtMs === undefined ? -Infinity : clock.monotonic();
    const differing = this.#index.differing(await store.digests());
    const { found, toRead, removed } = await this.#readBuckets(differing);
    if (signal.aborted) return;
    for (const appId of removed) this.#known.delete(appId);
    this.#notify({ cause: 'policies', sinceMs, added: [], changed: [], removed });
    const { added, changed, broken } = await this.#readPolicies(toRead, { cause: 'policies', sinceMs });
    if (signal.aborted) return;
    this.#index.replace(differing, found);
    metrics.policyPolls.inc({ result: 'success' });
    this.#readAtMs = clock.monotonic();
    if (this.#failures > 0) this.#repeated.info('policies-readable-again', { failures: this.#failures });
    this.#failures = 0;
    const counts = { added, changed, removed: removed.length + broken };
    if (added + changed + counts.removed > 0) {
      this.#logger.info('policies-changed', { policies: this.#index.size, ...counts });
    }
  }

  async #readBuckets(numbers: readonly number[]) {
    const found: Bucket[] = [];
    const toRead: string[] = [];
    const removed: string[] = [];
    const emptied = new Set(numbers);
    if (numbers.length > 0) {
      for await (const buckets of this.#options.store.buckets(numbers)) {
        for (const bucket of buckets) {
          found.push(bucket);
          emptied.delete(bucket.number);
          const { differing, gone } = this.#compare(bucket);
          toRead.push(...differing);
          removed.push(...gone);
        }
      }
    }
    await this.#inSlices(emptied, (number) => {
      removed.push(...this.#index.appIdsOf(number).filter((appId) => this.#known.has(appId)));
    });
    return { found, toRead, removed };
  }

  /** Of the apps of a bucket: those whose policies are to be read, and those that are known and have none any more. */
  #compare(bucket: Bucket) {
    const gone = new Set(this.#index.appIdsOf(bucket.number));
    const stamps = listOf<number>(bucket.stamps);
    const differing = listOf<string>(bucket.appIds).filter((appId, i) => {
      const isNew = !gone.delete(appId);
      const known = this.#known.get(appId);
      // Those that became ours are read when all of them are looked for.
      return known ? known.stamp !== stamps[i] : isNew && this.#options.isOurs(appId);
    });
    return { differing, gone: [...gone].filter((appId) => this.#known.has(appId)) };
  }

  /** Reads the policies of apps that became this member's. */
  async #gain(): Promise<void> {
    this.#mayHaveGained = false;
    const why = { cause: 'members', sinceMs: -Infinity } as const;
    try {
      await this.#readPolicies(await this.#newlyOurs(), why);
      this.#notify({ ...why, added: [], changed: [], removed: [], isGained: true });
    } catch (error) {
      this.ownershipChanged();
      throw error;
    }
  }

  async #newlyOurs(): Promise<string[]> {
    const gained: string[] = [];
    await this.#inSlices(this.#index.appIds(), (appIds) => {
      gained.push(...appIds.filter((appId) => !this.#known.has(appId) && this.#options.isOurs(appId)));
    });
    return gained;
  }

  async #inSlices<T>(items: Iterable<T>, look: (item: T) => void): Promise<void> {
    const { clock } = this.#options;
    let endMs = clock.monotonic() + sliceMs;
    for (const item of items) {
      look(item);
      if (clock.monotonic() < endMs) continue;
      await turn();
      endMs = clock.monotonic() + sliceMs;
    }
  }

  async #readPolicies(appIds: readonly string[], why: Pick<PolicyChanges, 'cause' | 'sinceMs'>) {
    const counts = { added: 0, changed: 0, broken: 0 };
    for (let start = 0; start < appIds.length; start += policiesPerStatement) {
      const some = appIds.slice(start, start + policiesPerStatement);
      for await (const policies of this.#options.store.policies(some)) {
        if (this.#stopping.signal.aborted) return counts;
        const changes = this.#take(policies);
        counts.added += changes.added.length;
        counts.changed += changes.changed.length;
        counts.broken += changes.removed.length;
        this.#notify({ ...why, ...changes });
      }
    }
    return counts;
  }

  #take(policies: readonly PolicyText[]) {
    const changes = { added: [] as string[], changed: [] as string[], removed: [] as string[] };
    for (const { appId, stamp, stored } of policies) {
      const before = this.#known.get(appId)?.stored;
      const isSame = before?.version === stored.version;
      this.#known.set(appId, { stamp, stored: isSame ? before : stored, isLeaving: false });
      if (isSame) continue;
      this.#reports.read(appId, before, stored);
      if (before?.kind !== 'usable') {
        if (stored.kind === 'usable') changes.added.push(appId);
      } else {
        changes[stored.kind === 'usable' ? 'changed' : 'removed'].push(appId);
      }
    }
    return changes;
  }

  #notify(changes: PolicyChanges): void {
    const { added, changed, removed, isGained = false } = changes;
    if (added.length + changed.length + removed.length === 0 && !isGained) return;
    if (this.#stopping.signal.aborted) return;
    for (const listener of this.#listeners) {
      try {
        listener(changes);
      } catch (error) {
        this.#repeated.error('listener-failed', error);
      }
    }
  }

  /**
   * Counts what is known, and returns the apps whose policies cannot be used. `dropsOthers`: forgets what was another
   * member's for a whole interval already; of an app that was lost just now, cycles may still be under way.
   */
  #lookThrough({ dropsOthers = false } = {}): string[] {
    const { metrics, isOurs } = this.#options;
    const broken: string[] = [];
    const counts = { owned: 0, withRules: 0 };
    for (const [appId, known] of this.#known) {
      const { stored } = known;
      const isOther = !isOurs(appId);
      if (isOther) {
        if (dropsOthers && known.isLeaving) this.#known.delete(appId);
        known.isLeaving ||= dropsOthers;
        continue;
      }
      known.isLeaving = false;
      counts.owned++;
      if (stored.kind === 'broken') broken.push(appId);
      else if (stored.policy.rules.length > 0) counts.withRules++;
    }
    metrics.policies.set(this.#index.size);
    metrics.policiesOwned.set(counts.owned);
    metrics.policiesWithRules.set(counts.withRules);
    metrics.policiesBroken.set(broken.length);
    return broken;
  }

  #failed(error: unknown): void {
    this.#options.metrics.policyPolls.inc({ result: 'failure' });
    this.#nextPollMs = -Infinity;
    if (this.#failures++ === 0) {
      const policiesInForce = this.#known.size - this.#lookThrough().length;
      this.#repeated.error('policies-not-readable', error, { policiesInForce });
    } else {
      this.#logger.debug('policies-still-not-readable', { failures: this.#failures });
    }
  }

  #retryDelayMs(): number {
    return backOff(firstRetryMs, maxRetryMs, this.#failures, this.#random);
  }

  /** Until the next poll is due, or apps were gained. */
  async #wait(): Promise<void> {
    const { clock } = this.#options;
    this.#wake = new AbortController();
    const { signal } = this.#wake;
    if (this.#stopping.signal.aborted || (this.#mayHaveGained && this.#failures === 0)) return;
    await sleep(clock, this.#nextPollMs - clock.monotonic(), signal);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

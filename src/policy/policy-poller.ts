import { backOff } from '../util/back-off.js';
import { endsUnlessAborted, sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { AppPolicy, PolicySnapshot } from './policy.js';
import type { PolicyStore, StoredPolicies } from './policy-store.js';
import { rawGaugeRules } from './raw-gauges.js';

/** App ids. A policy that became broken counts as removed. */
export interface PolicyChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export type SnapshotListener = (snapshot: PolicySnapshot, changes: PolicyChanges) => void;

export interface PolicyPollerOptions {
  readonly store: PolicyStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    | 'policies'
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

const firstRetryMs = 1_000;
/** policy_db is asked again within half a minute of its return, however long it was away. */
const maxRetryMs = 30_000;
/** How exact the age metric is. */
const ageUpdateMs = 5_000;
/** Broken or questionable policies named in the log after one read, and a minute: a wrong schema would break thousands. */
const maxNamedPolicies = 20;
/** Broken policies are told of again after this long. */
const remindEveryMs = 86_400_000;
/** Broken policies that are told to those who ask. */
const maxBroken = 1_000;

/**
 * Keeps the policies in force up to date. While policy_db is away the last good ones stay in force, and their age is
 * a metric. Never reads twice at once; waits after every read, longer and longer after failures.
 */
export class PolicyPoller {
  readonly #options: PolicyPollerOptions;
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #random: () => number;
  readonly #listeners = new Set<SnapshotListener>();
  readonly #stopping = new AbortController();
  #stored: StoredPolicies = new Map();
  #snapshot: PolicySnapshot = new Map();
  #broken: ReadonlyMap<string, string> = new Map();
  #loop: Promise<void> | undefined;
  #readAtMs: number | undefined;
  #failures = 0;
  /** Policies named in the log so far. */
  #named = 0;
  /** Policies that could be used again, named in the log so far. */
  #repaired = 0;
  /** When broken policies were last told of. */
  #remindedAtMs = -Infinity;
  #tellFirstRead = () => {};
  /** Resolves when all policies were read for the first time, and all listeners know them. */
  readonly firstRead = new Promise<void>((resolve) => (this.#tellFirstRead = resolve));

  constructor(options: PolicyPollerOptions) {
    this.#options = options;
    this.#logger = options.logger.child('policy');
    const { clock, metrics } = options;
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
    this.#random = options.random ?? Math.random;
  }

  /** Why policies cannot be used, by app id; of very many not all. */
  get broken(): ReadonlyMap<string, string> {
    return this.#broken;
  }

  /** Apps whose policies have no scaling rules. */
  withoutRules(): string[] {
    return [...this.#snapshot.values()].filter(({ rules }) => rules.length === 0).map(({ appId }) => appId);
  }

  /** Calls the listener after every read that changed something. Snapshots are never changed in place. */
  onSnapshot(listener: SnapshotListener): void {
    this.#listeners.add(listener);
  }

  /** Reads at once, and again after every interval. Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends the loop at once. A read that is running has no effect, and no listener is called any more. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await endsUnlessAborted(this.#read(), signal);
      await this.#wait(this.#failures === 0 ? this.#options.intervalMs : this.#retryDelayMs());
    }
  }

  async #read(): Promise<void> {
    const { store, clock, metrics } = this.#options;
    const { signal } = this.#stopping;
    try {
      const stored = await store.read(this.#stored);
      if (signal.aborted) return;
      metrics.policyPolls.inc({ result: 'success' });
      this.#readAtMs = clock.monotonic();
      this.#updateAge();
      if (this.#failures > 0) this.#repeated.info('policies-readable-again', { failures: this.#failures });
      this.#failures = 0;
      this.#take(stored);
      this.#remind();
      this.#tellFirstRead();
    } catch (error) {
      if (signal.aborted) return;
      metrics.policyPolls.inc({ result: 'failure' });
      this.#updateAge();
      if (this.#failures++ === 0) {
        this.#repeated.error('policies-not-readable', error, { policiesInForce: this.#snapshot.size });
      } else {
        this.#logger.debug('policies-still-not-readable', { failures: this.#failures });
      }
    }
  }

  #take(stored: StoredPolicies): void {
    if (stored === this.#stored) return;
    const { metrics } = this.#options;
    const snapshot = new Map<string, AppPolicy>();
    let withRules = 0;
    for (const [appId, entry] of stored) {
      if (entry.kind !== 'usable') continue;
      snapshot.set(appId, entry.policy);
      if (entry.policy.rules.length > 0) withRules++;
    }
    this.#reportBroken(stored);
    this.#reportRawGauges(stored);
    this.#stored = stored;
    this.#broken = brokenIn(stored);
    metrics.policies.set(snapshot.size);
    metrics.policiesWithRules.set(withRules);
    metrics.policiesBroken.set(stored.size - snapshot.size);

    const changes = difference(this.#snapshot, snapshot);
    const count = changes.added.length + changes.changed.length + changes.removed.length;
    if (count === 0) return;
    this.#snapshot = snapshot;
    this.#logger.info('policies-changed', {
      policies: snapshot.size,
      added: changes.added.length,
      changed: changes.changed.length,
      removed: changes.removed.length,
    });
    for (const listener of this.#listeners) {
      try {
        listener(snapshot, changes);
      } catch (error) {
        this.#repeated.error('listener-failed', error);
      }
    }
  }

  /** Once per version of a policy: until it changes there is nothing new to say. */
  #reportBroken(stored: StoredPolicies): void {
    let broken = 0;
    for (const [appId, entry] of stored) {
      const before = this.#stored.get(appId);
      if (entry.kind === 'usable' && before?.kind === 'broken') {
        const key = `policy-usable-again ${this.#repaired++ % maxNamedPolicies}`;
        this.#repeated.info('policy-usable-again', { appId }, key);
      }
      if (entry.kind !== 'broken' || before?.version === entry.version) continue;
      if (broken++ < maxNamedPolicies) {
        const error = new Error(`the policy cannot be used: ${entry.problem}`);
        this.#repeated.error('policy-broken', error, { appId }, this.#nextName('policy-broken'));
      }
    }
    if (broken > maxNamedPolicies)
      this.#repeated.info('more-policies-broken', { notNamed: broken - maxNamedPolicies });
    if (broken > 0 && this.#broken.size === 0) this.#remindedAtMs = this.#options.clock.monotonic();
  }

  /** Whoever looks at the log of today sees what broke last week, too. */
  #remind(): void {
    const nowMs = this.#options.clock.monotonic();
    if (this.#broken.size === 0 || nowMs - this.#remindedAtMs < remindEveryMs) return;
    this.#remindedAtMs = nowMs;
    const policies = this.#stored.size - this.#snapshot.size;
    const appIds = [...this.#broken.keys()].slice(0, maxNamedPolicies);
    const error = new Error(`${policies} policies cannot be used`);
    this.#repeated.error('policies-still-broken', error, { policies, appIds });
  }

  /** Once per version, like broken ones. Such a policy can be used, but hardly does what it was meant to. */
  #reportRawGauges(stored: StoredPolicies): void {
    let found = 0;
    for (const [appId, entry] of stored) {
      if (entry.kind !== 'usable' || this.#stored.get(appId)?.version === entry.version) continue;
      const rules = rawGaugeRules(entry.policy.rules);
      if (rules.length === 0 || found++ >= maxNamedPolicies) continue;
      this.#repeated.info('custom-metrics-only', { appId, rules }, this.#nextName('custom-metrics-only'));
    }
    if (found > maxNamedPolicies) {
      this.#repeated.info('more-custom-metrics-only', { notNamed: found - maxNamedPolicies });
    }
  }

  /** Each policy has a line of its own, up to so many a minute. */
  #nextName(event: string): string {
    return `${event} ${this.#named++ % maxNamedPolicies}`;
  }

  #retryDelayMs(): number {
    return backOff(firstRetryMs, maxRetryMs, this.#failures, this.#random);
  }

  async #wait(delayMs: number): Promise<void> {
    const { signal } = this.#stopping;
    for (let leftMs = delayMs; leftMs > 0 && !signal.aborted; leftMs -= ageUpdateMs) {
      await sleep(this.#options.clock, Math.min(leftMs, ageUpdateMs), signal);
      this.#updateAge();
    }
  }

  #updateAge(): void {
    if (this.#readAtMs === undefined) return;
    this.#options.metrics.policiesAgeSeconds.set((this.#options.clock.monotonic() - this.#readAtMs) / 1000);
  }
}

function brokenIn(stored: StoredPolicies): ReadonlyMap<string, string> {
  const broken = new Map<string, string>();
  for (const [appId, entry] of stored) {
    if (entry.kind === 'broken' && broken.size < maxBroken) broken.set(appId, entry.problem);
  }
  return broken;
}

function difference(before: PolicySnapshot, after: PolicySnapshot): PolicyChanges {
  const added: string[] = [];
  const changed: string[] = [];
  for (const [appId, policy] of after) {
    const old = before.get(appId);
    if (old === undefined) added.push(appId);
    else if (old.version !== policy.version) changed.push(appId);
  }
  return { added, changed, removed: [...before.keys()].filter((appId) => !after.has(appId)) };
}

import { backOff } from '../util/back-off.js';
import { sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { KnownPolicies } from './known-policies.js';
import type { AppPolicy } from './policy.js';
import { PolicyChangesReader, type PolicyChanges } from './policy-changes.js';
import { PolicyReports } from './policy-reports.js';
import type { PolicyStore } from './policy-store.js';

export interface PolicyPollerOptions {
  readonly store: PolicyStore;
  /** Whether an app is this member's; only their policies are kept. `ownershipChanged` says that this may have changed. */
  readonly isOurs: (appId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** From the end of one read to the start of the next. */
  readonly intervalMs: number;
  /** 0 to 1; default Math.random. */
  readonly random?: () => number;
}

const firstRetryMs = 1_000;
/** policy_db is asked again within half a minute of its return, however long it was away. */
const maxRetryMs = 30_000;

/**
 * Keeps the policies in force up to date, of this member's apps alone: decides when they are read, and tells what that
 * changed. While policy_db is away the last good ones stay in force, and their age is a metric. Never reads twice at
 * once; waits after every read, longer and longer after failures.
 */
export class PolicyPoller {
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #reports: PolicyReports;
  readonly #listeners = new Set<(changes: PolicyChanges) => void>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  readonly #known: KnownPolicies;
  readonly #changes: PolicyChangesReader;
  #loop: Promise<void> | undefined;
  readonly #startedMs: number;
  #readAtMs: number | undefined;
  #nextPollMs = -Infinity;
  /** Apps may have been gained whose policies were not read yet. */
  #mayHaveGained = false;
  #failures = 0;
  #tellFirstRead = () => {};
  /** Resolves when the policies were read for the first time, and all listeners know them. */
  readonly firstRead = new Promise<void>((resolve) => (this.#tellFirstRead = resolve));

  constructor(private readonly options: PolicyPollerOptions) {
    this.#logger = options.logger.child('policy');
    const { clock, metrics } = options;
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
    const reports = (this.#reports = new PolicyReports(this.#repeated, clock));
    this.#known = new KnownPolicies(options.isOurs, (...versions) => reports.read(...versions));
    this.#changes = new PolicyChangesReader({
      ...options,
      known: this.#known,
      signal: this.#stopping.signal,
      notify: (changes) => this.#notify(changes),
    });
    this.#startedMs = clock.monotonic();
  }

  /** The policy in force, of an app that is this member's or was until a moment ago. */
  policyOf(appId: string): AppPolicy | undefined {
    return this.#known.policyOf(appId);
  }

  /** Whether such an app has a policy, be it broken. */
  hasPolicy(appId: string): boolean {
    return this.#known.has(appId);
  }

  /** The apps whose policies are kept here. */
  appIds(): Iterable<string> {
    return this.#known.appIds();
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

  /** Says how old the policies are; while there are none, how long they have been missing. To be called every few seconds. */
  refresh(): void {
    const { clock, metrics } = this.options;
    metrics.policiesAgeSeconds.set((clock.monotonic() - (this.#readAtMs ?? this.#startedMs)) / 1000);
  }

  /** Reads no more. A read that is running has no effect, and no listener is called any more. Idempotent. */
  stop(): void {
    this.#stopping.abort();
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#read();
      await this.#wait();
    }
  }

  async #read(): Promise<void> {
    const { clock, intervalMs } = this.options;
    const isPoll = clock.monotonic() >= this.#nextPollMs;
    try {
      if (isPoll) await this.#poll();
      // Before the first poll nobody knows which apps there are to gain.
      if (this.#readAtMs === undefined) return;
      if (this.#mayHaveGained) await this.#gain();
      if (this.#stopping.signal.aborted) return;
      this.#reports.endOfRead(this.#count({ dropsOthers: isPoll }));
      this.refresh();
      this.#tellFirstRead();
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#failed(error);
    }
    // A poll that fell due while policies of gained apps were read is still to come.
    if (!isPoll && this.#nextPollMs !== -Infinity) return;
    this.#nextPollMs = clock.monotonic() + (this.#failures === 0 ? intervalMs : this.#retryDelayMs());
  }

  async #poll(): Promise<void> {
    const { clock, metrics } = this.options;
    // At the first read, apps may have waited for us; later, those that are found are new.
    const sinceMs = this.#readAtMs === undefined ? -Infinity : clock.monotonic();
    const counts = await this.#changes.readChanges(sinceMs);
    metrics.policyPolls.inc({ result: 'success' });
    this.#readAtMs = clock.monotonic();
    if (this.#failures > 0) this.#repeated.info('policies-readable-again', { failures: this.#failures });
    this.#failures = 0;
    if (counts.added + counts.changed + counts.removed > 0) {
      this.#logger.info('policies-changed', { policies: this.#known.all.size, ...counts });
    }
  }

  async #gain(): Promise<void> {
    this.#mayHaveGained = false;
    try {
      await this.#changes.readGained();
    } catch (error) {
      this.ownershipChanged();
      throw error;
    }
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

  /** Counts what is known, and returns the apps whose policies cannot be used. */
  #count({ dropsOthers = false } = {}): readonly string[] {
    const { metrics } = this.options;
    const { owned, withRules, broken } = this.#known.count({ dropsOthers });
    metrics.policies.set(this.#known.all.size);
    metrics.policiesOwned.set(owned);
    metrics.policiesWithRules.set(withRules);
    metrics.policiesBroken.set(broken.length);
    return broken;
  }

  #failed(error: unknown): void {
    this.options.metrics.policyPolls.inc({ result: 'failure' });
    this.#nextPollMs = -Infinity;
    if (this.#failures++ === 0) {
      const policiesInForce = this.#known.size - this.#count().length;
      this.#repeated.error('policies-not-readable', error, { policiesInForce });
    } else {
      this.#logger.debug('policies-still-not-readable', { failures: this.#failures });
    }
  }

  #retryDelayMs(): number {
    const { random = Math.random } = this.options;
    return backOff(firstRetryMs, maxRetryMs, this.#failures, random);
  }

  /** Until the next poll is due, or apps were gained. */
  async #wait(): Promise<void> {
    const { clock } = this.options;
    this.#wake = new AbortController();
    const { signal } = this.#wake;
    if (this.#stopping.signal.aborted || (this.#mayHaveGained && this.#failures === 0)) return;
    await sleep(clock, this.#nextPollMs - clock.monotonic(), signal);
  }
}
